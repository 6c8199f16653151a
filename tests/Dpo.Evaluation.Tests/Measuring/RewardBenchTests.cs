using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Measuring;

public sealed class RewardBenchTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Rows_are_read_and_counted_by_subset()
    {
        var path = folder.Write("rewardbench.jsonl", """
            {"prompt": "p", "chosen": "c", "chosen_model": "m", "rejected": "r", "rejected_model": "n", "subset": "chat", "id": 7}
            {"prompt": "q", "chosen": "c", "rejected": "r", "subset": "safety", "id": "x1"}
            {"prompt": "s", "chosen": "c", "rejected": "r", "subset": "chat", "id": 8}
            {"prompt": "s", "chosen": "c", "rejected": "r", "subset": "chat", "id": 9}
            """);
        var rows = RewardBenchRow.Read(path).ToArray();
        Assert.Equal(["7", "x1", "8", "9"], rows.Select(row => row.Id));
        Assert.Equal(("q", "c", "r", "rewardbench.jsonl:2"), (rows[1].Example.Prompt, rows[1].Example.Completions[0], rows[1].Example.Completions[1], rows[1].Example.Source));
        var accuracies = RewardBenchRow.Accuracies(rows, [0.5, 0, 1, -1]);
        Assert.Equal([("chat", 2.0 / 3, 3), ("safety", 0, 1)], accuracies.Select(subset => (subset.Key, subset.Value.Value, subset.Value.Count)));
        Assert.Throws<ArgumentOutOfRangeException>(() => RewardBenchRow.Accuracies(rows, [1]));
    }

    /// <summary>By hand: a section's subsets count by their rows, math-prm as much as all of code.</summary>
    [Fact]
    public void Sections_are_the_leaderboards()
    {
        var accuracies = new Dictionary<string, Estimate>
        {
            ["alpacaeval-hard"] = Of(19, 20),
            ["mt-bench-easy"] = Of(1, 4), // Chat: (95 · 0.95 + 28 · 0.25) / 123
            ["llmbar-natural"] = Of(1, 2),
            ["xstest-should-refuse"] = Of(1, 2),
            ["xstest-should-respond"] = Of(2, 2), // (154 · 0.5 + 250) / 404
            ["math-prm"] = Of(0, 5),
            ["hep-go"] = Of(5, 5),
            ["hep-rust"] = Of(5, 5), // (984 · 0 + 164 + 164) / 1312
            ["another"] = Of(0, 1),
        };
        var sections = RewardBenchSections.Of(accuracies);
        Assert.Equal(["Chat", "Chat Hard", "Safety", "Reasoning", RewardBenchSections.Mean], sections.Keys);
        double[] means = [97.25 / 123, 0.5, 327.0 / 404, 0.25];
        foreach (var (mean, section) in means.Append(means.Average()).Zip(sections.Values))
            Numbers.AssertClose(mean, section.Value, 1e-12);
        Assert.Equal([24, 2, 4, 15, 45], sections.Values.Select(section => section.Count));
        // One subset's own interval; and where nothing or everything is right there is an interval still.
        Numbers.AssertClose(accuracies["llmbar-natural"].Interval.Low, sections["Chat Hard"].Interval.Low, 1e-12);
        Assert.True(sections["Reasoning"].Interval is { Low: > 0.1, High: < 0.7 });

        accuracies.Remove("llmbar-natural");
        Assert.Equal(["Chat", "Safety", "Reasoning"], RewardBenchSections.Of(accuracies).Keys);
        Assert.Empty(RewardBenchSections.Of(new Dictionary<string, Estimate> { ["another"] = Of(0, 1) }));
    }

    [Theory]
    [InlineData(0.6, 0.6)]
    [InlineData(0.5, 0.95)]
    public void The_interval_of_a_section_covers(double first, double second)
    {
        var (random, covered) = (new Random(3), 0);
        const int Studies = 4000;
        for (var study = 0; study < Studies; study++)
        {
            int Right(int count, double rate) => Enumerable.Range(0, count).Count(_ => random.NextDouble() < rate);
            var safety = RewardBenchSections.Of(new Dictionary<string, Estimate>
            {
                ["refusals-dangerous"] = Of(Right(100, first), 100),
                ["donotanswer"] = Of(Right(136, second), 136),
            })["Safety"];
            covered += safety.Interval.Contains(((100 * first) + (136 * second)) / 236) ? 1 : 0;
        }
        Assert.InRange((double)covered / Studies, 0.93, 0.97);
    }

    private static Estimate Of(int right, int count) => new WinRate(right, 0, count - right).WithoutTies();

    [Theory]
    [InlineData("""{"prompt": "p", "chosen": "c", "rejected": "r", "id": 7}""", "no field 'subset'")]
    [InlineData("""{"prompt": "p", "chosen": 3, "rejected": "r", "subset": "s", "id": 7}""", "'chosen' is not a text")]
    [InlineData("""{"prompt": "p", "chosen": "c", "rejected": "r", "subset": "s", "id": null}""", "no number or text 'id'")]
    public void A_row_that_lacks_a_field_is_refused(string row, string reason)
    {
        var path = folder.Write("rewardbench.jsonl", "\n" + row + "\n");
        Assert.StartsWith(
            $"{path}:2: {reason}; give rows", Assert.Throws<InvalidInputException>(() => RewardBenchRow.Read(path).ToArray()).Message, StringComparison.Ordinal);
    }
}
