using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class ReportTests
{
    /// <summary>A report is part of what a run leaves, is replaced with it, and is made anew by a command.</summary>
    [Fact]
    public void A_run_ends_in_a_report_that_can_be_made_anew()
    {
        using var output = new TemporaryFolder();
        var (first, second, both) = (output.File("first"), output.File("second"), output.File("both"));
        string[] Args(string folder, string seed) => ["--steps", "2", "--batch-size", "4", "--seed", seed, "--output", folder];
        var text = SampleRun.Succeed("TlDr", Args(first, "1"));
        SampleRun.Succeed("TlDr", Args(second, "2"));

        var report = Path.Combine(first, "report.html");
        Assert.EndsWith($"The report is {report}.", text.TrimEnd(), StringComparison.Ordinal);
        var page = File.ReadAllText(report);
        Assert.Contains("<title>TlDr</title>", page, StringComparison.Ordinal);
        Assert.Contains("<dt>loss</dt><dd>DpoLoss(Beta=0.5", page, StringComparison.Ordinal);
        var run = JsonDocument.Parse(File.ReadAllText(Path.Combine(first, "run.json"))).RootElement;
        Assert.Equal("1", run.GetProperty("options").GetProperty("seed").GetString());
        Assert.Equal("2 steps", run.GetProperty("options").GetProperty("length of training").GetString());
        Assert.Equal("2,000", run.GetProperty("audit").GetProperty("pairs").GetString());
        Assert.NotEqual(
            run.GetProperty("models").GetProperty("start").GetString(),
            JsonDocument.Parse(File.ReadAllText(Path.Combine(second, "run.json"))).RootElement.GetProperty("models").GetProperty("start").GetString());
        Assert.Contains("sft: loss,1,", File.ReadAllText(Path.Combine(first, "figures", "loss.csv")), StringComparison.Ordinal);

        File.Delete(report);
        Assert.Equal($"The report is {report}.", SampleRun.Succeed("TlDr", "report", first).TrimEnd());
        Assert.Equal(page, File.ReadAllText(report));
        SampleRun.Succeed("TlDr", "report", first, second, "--into", both);
        Assert.Contains("second/sft: loss,1,", File.ReadAllText(Path.Combine(both, "figures", "loss.csv")), StringComparison.Ordinal);

        var (exitCode, _, error) = SampleRun.Run("TlDr", "report", output.File("missing"));
        Assert.Equal(2, exitCode);
        Assert.Equal($"{output.File("missing")} is no folder; name the output folder of a run.", error.TrimEnd());
    }
}
