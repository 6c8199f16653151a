using Dpo.Batching;
using Dpo.Models;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>
/// Supervised fine-tuning: maximizes the log-probability of completions given their prompts. On chosen completions
/// (<see cref="PreferenceData.ChosenOnly"/>) it is the paper's Preferred-FT, whose result is the policy and the reference
/// of DPO.
/// </summary>
/// <remarks>The loss is the mean cross-entropy of a completion token, in nats; prompts are not trained on. Data with pairs,
/// rankings, undesirable or mismatched completions are refused before the run begins.</remarks>
public sealed class SftTrainer : Trainer
{
    /// <summary>Creates the trainer.</summary>
    /// <param name="model">The model to train; it stays the caller's to dispose.</param>
    /// <param name="options">How to train; the paper's settings by default.</param>
    /// <param name="optimizer">An optimizer of your own over the model's parameters, which keeps its learning rate unless the
    /// options set one or a schedule; by default the one the options name.</param>
    /// <param name="logger">Is told of the run's beginning, evaluations and end.</param>
    /// <exception cref="ArgumentException">The optimizer misses a parameter that is trained, or holds one twice.</exception>
    public SftTrainer(
        CausalLanguageModel model, TrainingOptions? options = null, optim.Optimizer? optimizer = null, ILogger? logger = null)
        : base(new SftObjective(model, options?.DetailedMetrics ?? false), options, optimizer, logger)
    {
    }
}
