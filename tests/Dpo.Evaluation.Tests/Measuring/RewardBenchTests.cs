using Dpo.Evaluation.Measuring;
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
