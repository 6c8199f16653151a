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
        JsonElement RunOf(string folder) => JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "run.json"))).RootElement;
        var run = RunOf(first);
        Assert.Equal("1", run.GetProperty("options").GetProperty("seed").GetString());
        Assert.Equal("2 steps", run.GetProperty("options").GetProperty("length of training").GetString());
        Assert.Equal("2,000", run.GetProperty("audit").GetProperty("pairs").GetString());
        string Digests(JsonElement of) => $"{of.GetProperty("models")} {of.GetProperty("data")}";
        Assert.NotEqual(Digests(run), Digests(RunOf(second)));
        Assert.Contains("sft: loss,1,", File.ReadAllText(Path.Combine(first, "report-figures", "loss.csv")), StringComparison.Ordinal);

        File.Delete(report);
        Assert.Equal($"The report is {report}.", SampleRun.Succeed("TlDr", "report", first).TrimEnd());
        Assert.Equal(page, File.ReadAllText(report));
        SampleRun.Succeed("TlDr", "report", first, second, "--into", both);
        Assert.Contains("second/sft: loss,1,", File.ReadAllText(Path.Combine(both, "report-figures", "loss.csv")), StringComparison.Ordinal);

        foreach (var (named, message) in ((string[], string)[])
        [
            ([output.File("missing")], $"{output.File("missing")} is no folder; name the output folder of a run."),
            ([first, second], "--into is missing: name the folder for the page of several runs."),
        ])
        {
            var (exitCode, _, error) = SampleRun.Run("TlDr", ["report", .. named]);
            Assert.Equal(2, exitCode);
            Assert.Equal(message, error.TrimEnd());
        }

        // Another run in the first one's place: nothing of that is left, its fine-tuning neither, and nothing else is touched.
        var own = Directory.CreateDirectory(Path.Combine(first, "figures")).FullName;
        File.WriteAllText(Path.Combine(own, "mine.svg"), "mine");
        SampleRun.Succeed("TlDr", [.. Args(first, "1"), "--skip-sft", "--overwrite"]);
        Assert.False(File.Exists(Path.Combine(first, "sft", "metrics.jsonl")) || File.Exists(Path.Combine(first, "sft", "model.safetensors")));
        Assert.DoesNotContain("sft", File.ReadAllText(Path.Combine(first, "report-figures", "loss.csv")), StringComparison.Ordinal);
        Assert.Equal(Digests(run), Digests(RunOf(first))); // of one seed
        Assert.Contains("<dt>stages</dt><dd>the loss alone</dd>", File.ReadAllText(report), StringComparison.Ordinal);
        Assert.Equal("mine", File.ReadAllText(Path.Combine(own, "mine.svg")));
    }

    /// <summary>What an earlier end left to look at is not of the steps that follow: here the run ends before it writes anew.</summary>
    [Fact]
    public void A_run_that_goes_on_has_no_report_until_it_ends()
    {
        using var output = new TemporaryFolder();
        string[] Args(string steps) => ["--skip-sft", "--steps", steps, "--batch-size", "4", "--checkpoint-every", "1", "--output", output.Path];
        SampleRun.Succeed("TlDr", Args("2"));
        var left = Directory.GetFiles(output.Path).Select(Path.GetFileName).ToArray();
        Assert.Contains("report.html", left);
        Assert.Contains("run.json", left);

        File.Delete(output.File("model.safetensors"));
        Directory.CreateDirectory(output.File("model.safetensors/in-the-way"));
        var (exitCode, _, error) = SampleRun.Run("TlDr", [.. Args("3"), "--resume"]);
        Assert.True(exitCode == 1 && error.StartsWith("The model could not be saved: ", StringComparison.Ordinal), $"{exitCode}: {error}");
        Assert.Equal(3, File.ReadAllLines(output.File("metrics.jsonl")).Length);
        Assert.False(File.Exists(output.File("report.html")) || File.Exists(output.File("run.json")));
    }

    [Fact]
    public void A_report_that_cannot_be_written_leaves_the_model_and_says_so()
    {
        using var output = new TemporaryFolder();
        Directory.CreateDirectory(output.File("report.html/in-the-way"));
        var (exitCode, _, error) = SampleRun.Run("TlDr", "--steps", "1", "--batch-size", "4", "--output", output.Path);
        Assert.Equal(1, exitCode);
        Assert.StartsWith("The model is saved, but what comes after its training failed: ", error, StringComparison.Ordinal);
        using var model = CausalLanguageModel.Load(output.Path);
    }
}
