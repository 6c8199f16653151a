namespace Dpo.Tests;

public class DataReportTests
{
    [Fact]
    public void The_first_five_sources_of_a_reason_are_named()
    {
        var report = new DataReport();
        report.CountRead(2354);
        foreach (var line in new[] { 17, 20, 21, 30, 31, 45 })
            report.Drop("identical completions", $"test.jsonl:{line}");
        report.Drop("another reason", null);
        Assert.Equal(
            "read 2,354 rows; used 2,347; dropped 1: another reason; dropped 6: identical completions (test.jsonl:17, test.jsonl:20, " +
            "test.jsonl:21, test.jsonl:30, test.jsonl:31, …)",
            report.ToString());
        Assert.Equal(7, report.Dropped);
        Assert.Equal(6, report.DroppedByReason["identical completions"]);
    }
}
