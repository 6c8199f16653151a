using Dpo.Batching;
using Dpo.Losses;
using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>The mean cross-entropy of a completion token, in nats.</summary>
internal sealed class SftObjective(CausalLanguageModel model, TrainingOptions options) : Objective(model, options)
{
    public override void Require(PreferenceData data)
    {
        base.Require(data);
        if (data.Find(HasMoreThanChosen) is { } example)
            throw new InvalidInputException(
                $"The example {example.Source ?? "without a source"} holds completions that are not to be imitated (of pairs, of a ranking, " +
                "labelled undesirable, or of other prompts), and fine-tuning trains on every completion; train on PreferenceData.ChosenOnly().");

        static bool HasMoreThanChosen(ExampleSummary example) =>
            example.Counts is { Pairs: > 0 } or { Rankings: > 0 } or { Undesirable: > 0 } || example.Mismatched > 0;
    }

    public override IReadOnlyList<string?> MetricNames(PreferenceCounts whole) =>
        ["loss", .. Options.DetailedMetrics ? DetailedMetrics.CompletionNames : []];

    protected override int Count(string metric, PreferenceCounts whole) => metric == DetailedMetrics.TokenAccuracy ? whole.CompletionTokens : 1;

    public override (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var share = -part.Policy.PerToken.sum().DividedBy(whole.CompletionTokens);
        return (share, stack([share.detach(), .. Options.DetailedMetrics ? DetailedMetrics.OfCompletions(part, whole) : []]));
    }
}
