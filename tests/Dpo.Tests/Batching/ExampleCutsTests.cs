using CsCheck;

namespace Dpo.Tests;

/// <summary>An example may hold the completions of very many rows; what is computed at once stays within the budget.</summary>
public class ExampleCutsTests
{
    /// <summary>Completions that can be told apart by their first id, and what is known of them.</summary>
    private static readonly Gen<TrainingExample> Examples = Gen.Select(
        Gen.Int[1, 6], Gen.Int[1, 5].Array[1, 12], Gen.Int[0, 31], Gen.Select(Gen.Int[0, 100], Gen.Int[0, 100]).Array[0, 12]).Select(
            (prompt, lengths, extras, joins) =>
            {
                IReadOnlyList<int>[] completions = [.. lengths.Select((length, index) => (int[])[index, .. Enumerable.Repeat(99, length - 1)])];
                var mismatched = (extras & 1) != 0 && completions.Length > 1 ? 1 : 0;
                var own = completions.Length - mismatched;
                return new TrainingExample(
                    [.. Enumerable.Repeat(7, prompt)], completions,
                    [.. joins.Select(join => new PreferencePair(join.Item1 % own, join.Item2 % own)).Where(pair => pair.Chosen != pair.Rejected)])
                {
                    Ranking = (extras & 2) != 0 && (extras & 4) != 0 ? [.. Enumerable.Range(0, own).Reverse()] : null,
                    Scores = (extras & 8) == 0 ? null : [.. Enumerable.Range(0, own).Select(index => 10f * index)],
                    Labels = (extras & 16) == 0 ? null : [.. Enumerable.Range(0, own).Select(index => index % 3 == 0)],
                    ReferenceLogProbs = [.. completions.Select(ids => (float[])[.. ids.Select(id => -id)])],
                    MismatchedCount = mismatched,
                    Source = "row",
                };
            });

    private static string Name(TrainingExample example, int index) =>
        $"{example.Completions[index][0]} of {example.Completions[index].Count}" +
        $" {(index < example.Completions.Count - example.MismatchedCount ? $"{example.Scores?[index]} {example.Labels?[index]}" : "mismatched")}" +
        $" {string.Join(' ', example.ReferenceLogProbs![index])}";

    private static IEnumerable<string> Completions(TrainingExample example) =>
        Enumerable.Range(0, example.Completions.Count).Select(index => Name(example, index));

    private static IEnumerable<string> Preferences(TrainingExample example) =>
        example.Pairs.Select(pair => Name(example, pair.Chosen) + " > " + Name(example, pair.Rejected))
            .Concat(example.Ranking is null ? [] : [string.Join(" > ", example.Ranking.Select(index => Name(example, index)))]);

    [Fact]
    public void The_parts_of_a_batch_hold_every_completion_and_preference_once_within_the_budget()
    {
        Gen.Select(Examples, Gen.Int[1, 30], Gen.Int[1, 10]).Sample((example, maxTokens, maxPairs) =>
        {
            TrainingExample[] parts = [.. new PreferenceBatch([example]).Split(maxTokens, maxPairs).SelectMany(part => part.Examples)];
            Assert.Equal(Completions(example).Order(), parts.SelectMany(Completions).Order());
            Assert.Equal(Preferences(example).Order(), parts.SelectMany(Preferences).Order());
            Assert.All(parts, part =>
            {
                Assert.Equal((example.Prompt, example.Source), (part.Prompt, part.Source));
                Assert.Null(TokenizedExampleFault.Of(part));
                // What is over the budget cannot be taken apart: every completion is joined to the first, step by step.
                if (part.TokenCount > maxTokens || part.PairWeight > maxPairs)
                    Assert.Equal(part.Completions.Count, Reached(part));
            });
            Assert.Equal(PreferenceCounts.Of([example]), PreferenceCounts.Of(parts));
        }, iter: 2000);
    }

    /// <summary>How many completions pairs and a ranking join to the first one.</summary>
    private static int Reached(TrainingExample example)
    {
        var reached = new HashSet<int> { 0 };
        var links = example.Pairs.Concat((example.Ranking ?? []).Zip((example.Ranking ?? []).Skip(1), (one, next) => new PreferencePair(one, next))).ToArray();
        for (var before = 0; before < reached.Count;)
        {
            before = reached.Count;
            foreach (var (chosen, rejected) in links.Where(link => reached.Contains(link.Chosen) || reached.Contains(link.Rejected)))
                reached.UnionWith([chosen, rejected]);
        }
        return reached.Count;
    }

    [Fact]
    public void Slices_are_the_completions_in_their_order_within_the_budget()
    {
        Gen.Select(Examples, Gen.Int[1, 30]).Sample((example, maxTokens) =>
        {
            var slices = new PreferenceBatch([example]).Slices(maxTokens).SelectMany(slice => slice.Examples).ToArray();
            Assert.Equal(example.Completions, slices.SelectMany(slice => slice.Completions));
            Assert.Equal(example.ReferenceLogProbs!, slices.SelectMany(slice => slice.ReferenceLogProbs!));
            Assert.Equal(example.MismatchedCount, slices.Sum(slice => slice.MismatchedCount));
            if (example.Completions.Count > 2)
                Assert.All(slices, slice => Assert.True(slice.TokenCount <= maxTokens || slice.Completions.Count == 1));
        }, iter: 1000);
    }

    /// <summary>Six labelled completions of three tokens behind a prompt of two, and one of another prompt, which no limit of pairs
    /// counts.</summary>
    [Fact]
    public void Parts_are_as_large_as_the_budget_allows()
    {
        var example = new TrainingExample([1, 1], [.. Enumerable.Range(10, 7).Select(id => (int[])[id, id, 0])], [])
        {
            Labels = [true, false, true, false, true, false],
            MismatchedCount = 1,
        };
        var batch = new PreferenceBatch([example]);
        static IEnumerable<int> Sizes(IEnumerable<PreferenceBatch> parts) => parts.SelectMany(part => part.Examples).Select(part => part.Completions.Count);
        Assert.Equal([2, 2, 2, 1], Sizes(batch.Split(maxTokens: 8)));
        Assert.Equal([2, 2, 2, 1], Sizes(batch.Slices(maxTokens: 8)));
        Assert.Equal([3, 2, 2], Sizes(batch.Split(maxPairs: 2)));
    }

    /// <summary>As many rows as HH has of no prompt; joined by nothing, by one chosen completion, or in a chain.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_prompt_of_very_many_rows_is_cut_in_no_time(int kind)
    {
        const int Count = 40_000;
        var example = new TrainingExample([1, 2], [.. Enumerable.Range(0, Count).Select(id => (int[])[id, 0])], [.. Enumerable.Range(0, Count / 2).Select(pair => kind switch
        {
            0 => new PreferencePair(2 * pair, (2 * pair) + 1),
            1 => new PreferencePair(0, pair + 1),
            _ => new PreferencePair(pair, pair + 1),
        })]);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var parts = new PreferenceBatch([example]).Split(maxTokens: 100).ToArray();
        var largest = parts.SelectMany(part => part.Slices(100)).Max(slice => slice.Examples.Sum(cut => cut.TokenCount));
        Assert.InRange(largest, 50, 100);
        Assert.Equal(Count, parts.Sum(part => part.CompletionCount));
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
    }
}
