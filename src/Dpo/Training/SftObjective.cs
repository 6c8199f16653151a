using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>The mean cross-entropy of a completion token, in nats.</summary>
/// <param name="model">The model that is trained.</param>
/// <param name="isDetailed">Whether <see cref="DetailedMetrics"/> are measured.</param>
internal sealed class SftObjective(CausalLanguageModel model, bool isDetailed) : LogProbObjective(model)
{
    protected override LogProbsRequest Needs { get; } = new() { Statistics = isDetailed };

    public override void Require(PreferenceData data)
    {
        if (data.Find(HasMoreThanChosen) is { } example)
            throw new InvalidInputException(
                $"The example {example.Source ?? "without a source"} holds completions that are not to be imitated " +
                "(of pairs, of a ranking, labelled undesirable, or of other prompts), and fine-tuning trains on every " +
                "completion; train on PreferenceData.ChosenOnly().");

        static bool HasMoreThanChosen(ExampleSummary example) =>
            example.Counts is { Pairs: > 0 } or { Rankings: > 0 } or { Undesirable: > 0 } || example.Mismatched > 0;
    }

    public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) =>
        isDetailed ? DetailedMetrics.OfCompletions(whole) : [];

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole) =>
        (-part.Policy.PerToken.sum().DividedBy(whole.CompletionTokens),
            isDetailed ? DetailedMetrics.OfCompletions(part, whole) : []);
}
