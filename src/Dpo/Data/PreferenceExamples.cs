namespace Dpo.Data;

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
            .GroupBy(example => (
                example.Prompt, IsChat: example.Conversation is not null, Alone: IsMoreThanPairs(example) ? example : null))
            .Select(group => group.Key.Alone ?? Merge(group));
    }

    private static bool IsMoreThanPairs(PreferenceExample example) =>
        example.Ranking is not null || example.Scores is not null || example.Labels is not null;

    private static PreferenceExample Merge(IGrouping<(string Prompt, bool IsChat, PreferenceExample?), PreferenceExample> group)
    {
        var completions = new List<string>();
        var answers = new List<IReadOnlyList<ChatMessage>>();
        var indices = new Dictionary<string, int>(StringComparer.Ordinal);
        var pairs = new List<PreferencePair>();
        int IndexOf(PreferenceExample example, int index)
        {
            var completion = example.Completions[index];
            if (indices.TryAdd(completion, completions.Count))
            {
                completions.Add(completion);
                if (example.Conversation is { } conversation)
                    answers.Add(conversation.Completions[index]);
            }
            return indices[completion];
        }
        foreach (var example in group)
        {
            int[] merged = [.. Enumerable.Range(0, example.Completions.Count).Select(index => IndexOf(example, index))];
            pairs.AddRange(example.Pairs.Select(pair => new PreferencePair(merged[pair.Chosen], merged[pair.Rejected])));
        }
        var first = group.First();
        return first with
        {
            Completions = completions,
            Pairs = pairs,
            Conversation = first.Conversation is { } chat ? chat with { Completions = answers } : null,
        };
    }
}
