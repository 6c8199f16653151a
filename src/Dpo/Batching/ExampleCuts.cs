using Dpo.Data;

namespace Dpo.Batching;

/// <summary>Cuts an example that is too large to be computed at once: each part has the prompt and some of the completions, and
/// every completion is in one part. A prompt that occurs in very many rows makes such examples.</summary>
internal static class ExampleCuts
{
    /// <summary>Cuts so that no preference is cut: completions that a pair or a ranking joins stay together, so that the parts'
    /// losses add up to the whole's.</summary>
    /// <param name="example">The example.</param>
    /// <param name="maxTokens">The most tokens of a part, the prompt among them.</param>
    /// <param name="maxPairs">The most pairs of a part, counted as <see cref="TrainingExample.PairWeight"/> does.</param>
    /// <returns>The example itself where it is within both limits, or nothing can be taken apart.</returns>
    public static IEnumerable<TrainingExample> Apart(TrainingExample example, int maxTokens, int maxPairs)
    {
        if (example.TokenCount <= maxTokens && example.PairWeight <= maxPairs)
            return [example];
        var joined = Joined(example);
        var pairs = example.Pairs.ToLookup(pair => joined[pair.Chosen]);
        var groups = joined.Index().GroupBy(item => item.Item, item => item.Index).ToArray();
        if (groups.Length == 1)
            return [example];
        (long, int) SizeOf(IGrouping<int, int> group)
        {
            var count = pairs[group.Key].Count();
            return (
                group.Sum(index => (long)example.Completions[index].Count),
                count > 0 ? count : group.Count(index => index < example.Completions.Count - example.MismatchedCount));
        }
        return PreferenceBatch.Pack(groups, SizeOf, Math.Max(1, maxTokens - example.Prompt.Count), maxPairs)
            .Select(part => Part(
                example, [.. part.SelectMany(group => group).Order()], part.SelectMany(group => pairs[group.Key])));
    }

    /// <summary>Cuts anywhere between two completions, in their order. What is known of them is left out: the whole example says
    /// it, once all parts have been computed.</summary>
    /// <param name="example">The example.</param>
    /// <param name="maxTokens">The most tokens of a part, the prompt among them; a part has one completion at least.</param>
    public static IEnumerable<TrainingExample> Slices(TrainingExample example, int maxTokens)
    {
        var bare = example with { Pairs = [], Ranking = null, Scores = null, Labels = null };
        var indices = Enumerable.Range(0, example.Completions.Count);
        var room = Math.Max(1, maxTokens - example.Prompt.Count);
        return PreferenceBatch.Pack(indices, index => (example.Completions[index].Count, 0), room, int.MaxValue)
            .Select(part => Part(bare, part, []));
    }

    /// <summary>For every completion the first of those that are to stay with it.</summary>
    private static int[] Joined(TrainingExample example)
    {
        int[] parents = [.. Enumerable.Range(0, example.Completions.Count)];
        int Root(int index)
        {
            while (parents[index] != index)
                index = parents[index] = parents[parents[index]];
            return index;
        }
        void Join(int one, int other)
        {
            var (first, second) = (Root(one), Root(other));
            parents[Math.Max(first, second)] = Math.Min(first, second);
        }
        foreach (var (chosen, rejected) in example.Pairs)
            Join(chosen, rejected);
        foreach (var index in example.Ranking ?? [])
            Join(example.Ranking![0], index);
        return [.. parents.Select((_, index) => Root(index))];
    }

    /// <summary>The prompt, some completions, in ascending order, and what is known of them.</summary>
    private static TrainingExample Part(TrainingExample example, IReadOnlyList<int> indices, IEnumerable<PreferencePair> pairs)
    {
        var own = example.Completions.Count - example.MismatchedCount;
        var places = indices.Index().ToDictionary(item => item.Item, item => item.Index);
        IReadOnlyList<T>? OfOwn<T>(IReadOnlyList<T>? values) =>
            values is null ? null : [.. indices.TakeWhile(index => index < own).Select(index => values[index])];
        return example with
        {
            Completions = [.. indices.Select(index => example.Completions[index])],
            Pairs = [.. pairs.Select(pair => new PreferencePair(places[pair.Chosen], places[pair.Rejected]))],
            // A ranking joins all own completions, so that it is in one part as a whole.
            Ranking = example.Ranking is { Count: > 0 } ranking && places.ContainsKey(ranking[0])
                ? [.. ranking.Select(index => places[index])]
                : null,
            Scores = OfOwn(example.Scores),
            Labels = OfOwn(example.Labels),
            ReferenceLogProbs = example.ReferenceLogProbs is { } values ? [.. indices.Select(index => values[index])] : null,
            MismatchedCount = indices.Count(index => index >= own),
        };
    }
}
