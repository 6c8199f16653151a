using System.Runtime.InteropServices;

namespace Dpo.Batching;

/// <summary>What is to be known of an example before it is read. The index of a file of examples keeps one for each, byte by
/// byte as it lies here.</summary>
/// <param name="Counts">How much it holds of what losses are averaged over.</param>
/// <param name="PromptTokens">Tokens of its prompt.</param>
/// <param name="Completions">Its completions, those of other prompts included.</param>
/// <param name="Mismatched">Completions of other prompts.</param>
/// <param name="LongestCompletion">Tokens of its longest completion.</param>
/// <param name="LargestId">The largest of all its ids.</param>
/// <param name="References">Completions that carry log-probabilities under the reference: all of them or 0.</param>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal readonly record struct ExampleSummary(
    PreferenceCounts Counts,
    int PromptTokens,
    int Completions,
    int Mismatched,
    int LongestCompletion,
    int LargestId,
    int References)
{
    /// <summary>Tokens of the prompt, once, and of all completions: what the example counts in a budget of tokens.</summary>
    public long TokenCount => (long)PromptTokens + Counts.CompletionTokens;

    /// <summary>What the example counts in a number of pairs, as <see cref="TrainingExample.PairWeight"/> does.</summary>
    public int PairWeight => Counts.Pairs > 0 ? Counts.Pairs : Completions - Mismatched;

    /// <summary>Whether it carries log-probabilities under the reference.</summary>
    public bool HasReference => References > 0;

    /// <summary>Whether an example of so many bytes may be like this: every token and each of a pair's two indices takes a byte
    /// at least. What a file's index says is planned by and allocated for before the example itself is read.</summary>
    public bool FitsInto(int bytes)
    {
        ReadOnlySpan<int> counts =
        [
            Counts.Pairs, Counts.ChosenTokens, Counts.Rankings, Counts.Desirable, Counts.Undesirable, Counts.RejectedTokens,
            Mismatched, LargestId, References,
        ];
        return PromptTokens > 0 && Completions > 0 && Mismatched <= Completions && LongestCompletion > 0
            && LongestCompletion <= Counts.CompletionTokens && Completions <= Counts.CompletionTokens
            && TokenCount + (2L * Counts.Pairs) <= bytes && !counts.ContainsAnyInRange(int.MinValue, -1);
    }

    /// <summary>Summarizes an example.</summary>
    public static ExampleSummary Of(TrainingExample example)
    {
        var (longest, largest) = (0, 0);
        foreach (var ids in example.Completions)
        {
            longest = Math.Max(longest, ids.Count);
            largest = Math.Max(largest, Largest(ids));
        }
        return new ExampleSummary(
            PreferenceCounts.Of([example]), example.Prompt.Count, example.Completions.Count, example.MismatchedCount, longest,
            Math.Max(largest, Largest(example.Prompt)), example.ReferenceLogProbs?.Count ?? 0);
    }

    private static int Largest(IReadOnlyList<int> ids) => ids.Count == 0 ? 0 : ids.Max();
}
