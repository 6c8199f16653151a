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
    /// <summary>How many tokens are the likeliest: counted, where the others are shares of averages.</summary>
    public const string TokenAccuracy = "mean_token_accuracy";

    /// <summary>Their names for pairs, in the order of <see cref="OfPairs"/>; <paramref name="measured"/> is whether there are pairs.</summary>
    public static IEnumerable<string?> PairNames(bool measured) =>
        measured ? ["logits/chosen", "logits/rejected", TokenAccuracy, "entropy"] : [null, null, null, "entropy"];

    /// <summary>A part's shares: means over the tokens of chosen, and of rejected, completions, one that is in several pairs
    /// counting in each; the entropy over those of all completions.</summary>
    public static IEnumerable<Tensor> OfPairs(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var statistics = part.Policy.Statistics!;
        Tensor Sum(Tensor perToken, Tensor completions) =>
            new CompletionLogProbs(perToken, part.Policy.Offsets).Sums.index_select(0, completions).sum();
        var (chosen, rejected) = (part.Preferences.Chosen, part.Preferences.Rejected);
        // Where there are no pairs, 0 is divided by 1, and not reported.
        yield return Sum(statistics.MeanLogits, chosen).DividedBy(Math.Max(1, whole.ChosenTokens));
        yield return Sum(statistics.MeanLogits, rejected).DividedBy(Math.Max(1, whole.RejectedTokens));
        yield return Sum(statistics.Hits, chosen);
        yield return statistics.Entropies.sum().DividedBy(whole.CompletionTokens);
    }

    /// <summary>Their names for completions alone, in the order of <see cref="OfCompletions"/>.</summary>
    public static IEnumerable<string?> CompletionNames => [TokenAccuracy, "entropy"];

    /// <summary>A part's share of them, over all completion tokens.</summary>
    public static IEnumerable<Tensor> OfCompletions(PreferenceLogProbs part, PreferenceCounts whole) =>
        [part.Policy.Statistics!.Hits.sum(), part.Policy.Statistics.Entropies.sum().DividedBy(whole.CompletionTokens)];
}
