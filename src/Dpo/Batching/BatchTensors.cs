using Dpo.Layout;
using static TorchSharp.torch;

namespace Dpo.Batching;

/// <summary>A batch on a device: what a model and a loss take.</summary>
/// <param name="Ids">The model's input tokens laid end to end, <c>[N]</c>, int64.</param>
/// <param name="Layout">Where prompts and completions lie among them.</param>
/// <param name="Targets">The tokens of every completion, all that are to be predicted, <c>[M]</c>, int64.</param>
/// <param name="Preferences">What is known of the completions: pairs, rankings, labels, scores.</param>
/// <param name="ReferencePerToken">The log-probability of every target under the reference, <c>[M]</c>, fp32; null unless
/// every example of the batch has them (<see cref="TrainingExample.ReferenceLogProbs"/>).</param>
public sealed record BatchTensors(
    Tensor Ids, SequenceLayout Layout, Tensor Targets, PreferenceTensors Preferences, Tensor? ReferencePerToken = null)
{
    /// <summary>Index of every pair's chosen completion among the batch's, <c>[P]</c>, int64.</summary>
    public Tensor Chosen => Preferences.Chosen;

    /// <summary>Index of every pair's rejected completion, <c>[P]</c>, int64.</summary>
    public Tensor Rejected => Preferences.Rejected;
}
