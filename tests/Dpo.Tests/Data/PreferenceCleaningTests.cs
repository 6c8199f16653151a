using CsCheck;

namespace Dpo.Tests;

public class PreferenceCleaningTests
{
    private static readonly PreferencePair[] Pair = [new(0, 1)];

    [Fact]
    public void A_duplicate_says_the_same_in_any_order_and_nothing_else_is_one()
    {
        PreferenceExample[] examples =
        [
            new("p", "a", "b") { Source = "t:1" },
            new("p", ["b", "a"], [new(1, 0)]) { Source = "t:2" },
            new("p", "b", "a"),
            new("q", "a", "b"),
            new("p", "ab", ""),
            new("p", ["a", "b"], []) { Labels = [true, false] },
            new("p", ["b", "a"], []) { Labels = [false, true], Source = "t:7" },
            new("p", ["a", "b"], []) { Labels = [false, true] },
            new("p", "a", "b") { Scores = [1, 0] },
            new("p", "a", "b") { Scores = [2, 0] },
            new("p", ["a", "b", "c"], [new(0, 1), new(0, 2)]),
            new("p", ["a", "c", "b"], [new(0, 1), new(0, 2)]) { Source = "t:12" },
            new("p", ["a", "b", "c"], [new(0, 1), new(1, 2)]),
            new("p", "a", "b") { Conversation = new Conversation([], []) },
        ];
        var report = new DataReport();
        report.CountRead(14);
        var kept = examples.WithoutDuplicates(report).ToList();
        Assert.Equal(examples.Where((_, index) => index is not (1 or 6 or 11)), kept);
        Assert.Equal("read 14 rows; used 10; dropped 4: duplicate (t:2, t:7, t:12, …)", report.ToString());
    }

    [Fact]
    public void Pairs_preferred_both_ways_are_left_out_wherever_they_stand()
    {
        PreferenceExample[] examples =
        [
            new("p", ["a", "b", "c"], [new(0, 1), new(0, 2)]) { Source = "t:1" },
            new("p", "b", "a") { Source = "t:2" },
            new("q", "b", "a"),
            new("p", ["c", "d", "a"], [new(0, 1), new(1, 2), new(0, 2)]) { Ranking = [0, 1, 2], Source = "t:4" },
        ];
        var report = new DataReport();
        var kept = examples.WithoutContradictions(report).ToList();
        // a over b and b over a; a over c and c over a.
        Assert.Equal([examples[2]], kept);
        Assert.Equal(4, report.DroppedByReason["contradictory pair"]);

        kept = [.. examples.Take(3).WithoutContradictions(new DataReport())];
        Assert.Equal([new(0, 2)], kept[0].Pairs);
        Assert.Equal(2, kept.Count);
    }

    [Fact]
    public void What_a_condition_leaves_out_is_counted_with_all_its_rows()
    {
        var report = new DataReport();
        PreferenceExample[] examples = [new("long", ["a", "b", "c"], [new(0, 1), new(1, 2)]) { Source = "t:1" }, new("p", "a", "b")];
        Assert.Equal([examples[1]], examples.Keep(example => example.Prompt.Length < 2, "long prompt", report));
        Assert.Equal("read 3 rows; used 1; dropped 2: long prompt (t:1, …)", report.ToString());
    }

    [Fact]
    public void A_split_shares_no_prompt_and_other_rows_move_none()
    {
        var examples = Gen.Select(Gen.Int[0, 60], Gen.Int[0, 9], (prompt, answer) => new PreferenceExample($"prompt {prompt}", [$"{answer}", "x"], Pair)).List[0, 80];
        Gen.Select(examples, examples, Gen.Int, Gen.Double[0.01, 0.99]).Sample((first, more, seed, share) =>
        {
            var (train, test) = first.SplitByPrompt(share, seed);
            Assert.Equal(first.Count, train.Count + test.Count);
            Assert.Empty(train.Select(example => example.Prompt).Intersect(test.Select(example => example.Prompt)));
            var (moreTrain, moreTest) = more.Concat(first).SplitByPrompt(share, seed);
            Assert.Equal(train, moreTrain.TakeLast(train.Count));
            Assert.Equal(test, moreTest.TakeLast(test.Count));
        });
    }

    [Fact]
    public void The_share_is_met_and_the_seed_chooses()
    {
        PreferenceExample[] examples = [.. Enumerable.Range(0, 10_000).Select(index => new PreferenceExample($"{index}", "a", "b"))];
        var (_, test) = examples.SplitByPrompt(0.2, 0);
        // Four standard errors.
        Assert.InRange(test.Count, 1840, 2160);
        var (_, other) = examples.SplitByPrompt(0.2, 1);
        Assert.InRange(test.Intersect(other).Count(), 320, 480);
    }
}
