namespace Dpo.Tests;

/// <summary>A column that is left out is named: a row's context, dropped without a word, makes another data set.</summary>
public sealed class IgnoredColumnsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("""{"prompt": "a", "chosen": "b", "rejected": "c"}""")]
    [InlineData("""{"question": "a", "system": "s", "chosen": "b", "rejected": "c", "score_chosen": 2, "score_rejected": 1}""")]
    [InlineData("""{"prompt": "a", "context": "d", "chosen": "b", "rejected": "c", "id": 7, "reason": "it is so"}""", "context")]
    [InlineData("""{"instruction": "a", "input": "e", "query": "f", "chosen": "b", "rejected": "c"}""", "query")]
    [InlineData("""{"prompt": "a", "system_prompt": "d", "notizen": "zwei Worte", "chosen": "b", "rejected": "c"}""", "notizen", "system_prompt")]
    [InlineData("""{"prompt": "a", "context": null, "completion": "b", "label": true, "input": "g"}""", "input")]
    [InlineData("""{"chosen": "a b", "rejected": "a c", "source": "web"}""")]
    public void It_is_told_by_the_report(string row, params string[] ignored)
    {
        var report = Read([row]);
        Assert.Equal(ignored, report.IgnoredColumns);
        var told = ignored.Length == 0 ? "" : $"; not used: {string.Join(", ", ignored.Select(column => $"'{column}'"))}";
        Assert.Equal($"read 1 rows; used 1{told}", report.ToString());
    }

    [Fact]
    public void A_column_that_the_user_names_is_used() => Assert.Equal(["prompt"], Read(
        ["""{"prompt": "a", "context": "d", "chosen": "b", "rejected": "c"}"""], new Dictionary<string, string> { ["prompt"] = "context" }).IgnoredColumns);

    [Fact]
    public void Those_that_come_in_later_rows_are_told_too() => Assert.Equal(["context"], Read(
        ["""{"prompt": "a", "chosen": "b", "rejected": "c"}""", """{"prompt": "a", "context": "d", "chosen": "b", "rejected": "c"}"""]).IgnoredColumns);

    private DataReport Read(string[] rows, IReadOnlyDictionary<string, string>? columns = null)
    {
        File.WriteAllLines(folder.File("rows.jsonl"), rows);
        var report = new DataReport();
        Assert.Equal(rows.Length, PreferenceFile.Read(folder.File("rows.jsonl"), report, columns: columns).Count());
        return report;
    }
}
