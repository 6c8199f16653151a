using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>The metrics that <see cref="TrainingOptions.DetailedMetrics"/> asks for: averages over tokens of what
/// <see cref="TokenStatistics"/> hold.</summary>
internal static class DetailedMetrics
{
    private const string TokenAccuracy = "mean_token_accuracy";

    /// <summary>Those of pairs, where there are any; the entropy is over the tokens of all completions.</summary>
    public static IReadOnlyList<Metric> OfPairs(PreferenceCounts whole) => whole.Pairs > 0
        ? [new("logits/chosen"), new("logits/rejected"), new(TokenAccuracy, whole.ChosenTokens), new("entropy")]
        : [new("entropy")];

    /// <summary>A part's shares: means over the tokens of chosen, and of rejected, completions, one that is in several pairs
    /// counting in each.</summary>
    public static IReadOnlyList<Tensor> OfPairs(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var statistics = part.Policy.Statistics!;
        var entropy = statistics.Entropies.sum().DividedBy(whole.CompletionTokens);
        if (whole.Pairs == 0)
            return [entropy];
        Tensor Sum(Tensor perToken, Tensor completions) =>
            new CompletionLogProbs(perToken, part.Policy.Offsets).Sums.index_select(0, completions).sum();
        var (chosen, rejected) = (part.Preferences.Chosen, part.Preferences.Rejected);
        return
        [
            Sum(statistics.MeanLogits, chosen).DividedBy(whole.ChosenTokens),
            Sum(statistics.MeanLogits, rejected).DividedBy(whole.RejectedTokens),
            Sum(statistics.Hits, chosen), entropy,
        ];
    }

    /// <summary>Those of completions alone, over all their tokens.</summary>
    public static IReadOnlyList<Metric> OfCompletions(PreferenceCounts whole) =>
        [new(TokenAccuracy, whole.CompletionTokens), new("entropy")];

    /// <summary>A part's share of them.</summary>
    public static IReadOnlyList<Tensor> OfCompletions(PreferenceLogProbs part, PreferenceCounts whole) =>
        [part.Policy.Statistics!.Hits.sum(), part.Policy.Statistics.Entropies.sum().DividedBy(whole.CompletionTokens)];
}
