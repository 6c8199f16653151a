namespace Dpo;

/// <summary>What can be done with a sequence of examples.</summary>
public static class PreferenceExamples
{
    /// <summary>
    /// Brings examples of the same prompt together into one, as the paper's code does for HH: its completions are the distinct
    /// ones, its pairs all the pairs. A completion that takes part in several comparisons is then computed once.
    /// </summary>
    /// <remarks>Prompts, completions and pairs keep the order in which they were first seen. A comparison that was made twice
    /// stays two pairs. The whole sequence is held in memory. The source is the first example's. Examples with a ranking, scores
    /// or labels stay as they are.</remarks>
    /// <param name="examples">Examples, in any order.</param>
    public static IEnumerable<PreferenceExample> GroupByPrompt(this IEnumerable<PreferenceExample> examples)
    {
        ArgumentNullException.ThrowIfNull(examples);
        return examples
            .GroupBy(example => (example.Prompt, Alone: IsMoreThanPairs(example) ? example : null))
            .Select(group => group.Key.Alone ?? Merge(group));
    }

    private static bool IsMoreThanPairs(PreferenceExample example) =>
        example.Ranking is not null || example.Scores is not null || example.Labels is not null;

    private static PreferenceExample Merge(IGrouping<(string Prompt, PreferenceExample?), PreferenceExample> group)
    {
        var completions = new List<string>();
        var indices = new Dictionary<string, int>(StringComparer.Ordinal);
        var pairs = new List<PreferencePair>();
        int IndexOf(string completion)
        {
            if (indices.TryAdd(completion, completions.Count))
                completions.Add(completion);
            return indices[completion];
        }
        foreach (var example in group)
        {
            int[] merged = [.. example.Completions.Select(IndexOf)];
            pairs.AddRange(example.Pairs.Select(pair => new PreferencePair(merged[pair.Chosen], merged[pair.Rejected])));
        }
        return new PreferenceExample(group.Key.Prompt, completions, pairs) { Source = group.First().Source };
    }
}
