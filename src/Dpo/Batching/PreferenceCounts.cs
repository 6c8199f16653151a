using System.Runtime.InteropServices;

namespace Dpo.Batching;

/// <summary>
/// How much a batch holds of what losses are averaged over. Each micro-batch adds its sums divided by the counts of the whole
/// batch, so that the average does not depend on how the batch was cut.
/// </summary>
/// <param name="Pairs">Pairs of a chosen and a rejected completion: P.</param>
/// <param name="ChosenTokens">Tokens of every pair's chosen completion; one that was chosen in several pairs counts in
/// each.</param>
/// <param name="Rankings">Rankings: R.</param>
/// <param name="Desirable">Completions labelled desirable: D.</param>
/// <param name="Undesirable">Completions labelled undesirable: U.</param>
/// <param name="RejectedTokens">Tokens of every pair's rejected completion, counted likewise.</param>
/// <param name="CompletionTokens">Tokens of all completions, end-of-text tokens included: M.</param>
[StructLayout(LayoutKind.Sequential, Pack = 4)] // lies so in the index of a file of examples
public readonly record struct PreferenceCounts(
    int Pairs, int ChosenTokens, int Rankings, int Desirable, int Undesirable, int RejectedTokens, int CompletionTokens)
{
    /// <summary>Counts examples.</summary>
    internal static PreferenceCounts Of(IEnumerable<TrainingExample> examples)
    {
        var counts = default(PreferenceCounts);
        foreach (var example in examples)
        {
            var desirable = example.Labels?.Count(label => label) ?? 0;
            counts = new PreferenceCounts(
                counts.Pairs + example.Pairs.Count,
                counts.ChosenTokens + example.Pairs.Sum(pair => example.Completions[pair.Chosen].Count),
                counts.Rankings + (example.Ranking is null ? 0 : 1),
                counts.Desirable + desirable,
                counts.Undesirable + (example.Labels?.Count - desirable ?? 0),
                counts.RejectedTokens + example.Pairs.Sum(pair => example.Completions[pair.Rejected].Count),
                counts.CompletionTokens + example.Completions.Sum(ids => ids.Count));
        }
        return counts;
    }

    /// <summary>Adds up what summaries say.</summary>
    internal static PreferenceCounts Of(IEnumerable<ExampleSummary> summaries) =>
        summaries.Aggregate(default(PreferenceCounts), (sum, summary) => new(
            sum.Pairs + summary.Counts.Pairs,
            sum.ChosenTokens + summary.Counts.ChosenTokens,
            sum.Rankings + summary.Counts.Rankings,
            sum.Desirable + summary.Counts.Desirable,
            sum.Undesirable + summary.Counts.Undesirable,
            sum.RejectedTokens + summary.Counts.RejectedTokens,
            sum.CompletionTokens + summary.Counts.CompletionTokens));
}
