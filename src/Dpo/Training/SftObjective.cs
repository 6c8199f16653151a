using static TorchSharp.torch;

namespace Dpo;

/// <summary>The mean cross-entropy of a completion token, in nats.</summary>
internal sealed class SftObjective(CausalLanguageModel model, TrainingOptions options) : Objective(model, options)
{
    public override IReadOnlyList<string?> MetricNames(PreferenceCounts whole) =>
        ["loss", .. Options.DetailedMetrics ? DetailedMetrics.CompletionNames : []];

    public override (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var share = -part.Policy.PerToken.sum() / whole.CompletionTokens;
        return (share, stack([share.detach(), .. Options.DetailedMetrics ? DetailedMetrics.OfCompletions(part, whole) : []]));
    }
}
