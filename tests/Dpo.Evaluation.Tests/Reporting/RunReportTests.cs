using System.Text.RegularExpressions;
using System.Xml.Linq;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Reporting;

public sealed class RunReportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private string Output => folder.Path;

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_page_shows_figures_tables_texts_and_settings_and_needs_nothing_beside_it()
    {
        WriteRun(Output);
        var path = RunReport.Write([Output], Output);
        var page = File.ReadAllText(path);

        Assert.Equal(Path.Combine(Output, "report.html"), path);
        Assert.Contains("<title>Imdb &lt;small&gt;</title>", page, StringComparison.Ordinal);
        Assert.Contains("<td>dpo-beta-0.1</td><td class=\"number\">0</td><td class=\"number\">20</td><td class=\"number\">0.900 ± 0.010</td>"
            + "<td class=\"number\">4.00 ± 0.20</td>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("0.700 ± 0.010", page, StringComparison.Ordinal); // of an earlier step
        Assert.Contains("<p>of step 20 &amp; last</p>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("of step 10", page, StringComparison.Ordinal);
        Assert.Contains("<dt>beta</dt><dd>0.1</dd>", page, StringComparison.Ordinal);
        Assert.Contains("<li>Fifteen of the runs.</li>", page, StringComparison.Ordinal);
        Assert.Contains("<dt>the longer one is chosen</dt><dd>66.7 % of pairs", page, StringComparison.Ordinal);

        // A frontier, losses, margins and gradient norms: what the metrics hold and no more.
        var figures = Regex.Matches(page, "<svg .*?</svg>", RegexOptions.Singleline);
        Assert.Equal(["frontier", "gradient-norm", "loss", "margins"],
            Directory.GetFiles(Path.Combine(Output, "report-figures"), "*.svg").Select(file => Path.GetFileNameWithoutExtension(file)).Order());
        Assert.Equal(4, figures.Count);
        var drawings = figures.Select(figure => XElement.Parse(figure.Value)).ToArray();
        Assert.All(drawings, drawing => Assert.Equal("0 0 720 440", (string?)drawing.Attribute("viewBox")));
        // Names within a page are its own: every one is there once, and what is named is there.
        string[] names = [.. drawings.SelectMany(drawing => drawing.Descendants()).Select(element => (string?)element.Attribute("id")).OfType<string>()];
        Assert.Equal(names.Distinct(), names);
        Assert.All(Regex.Matches(page, @"url\(#([^)]*)\)"), match => Assert.Contains(match.Groups[1].Value, names));
        Assert.Contains(drawings[0].Descendants(), element => element.Name.LocalName == "text" && element.Value.Trim() == "reward");
        Assert.DoesNotMatch("(src|href)=|<script|@import|url\\(http", page);
    }

    [Fact]
    public void Beside_a_figure_lie_its_numbers_and_a_picture()
    {
        WriteRun(Output);
        RunReport.Write([Output], Output);
        string At(string name) => Path.Combine(Output, "report-figures", name);

        Assert.Equal(
            "series,\"KL(π‖π_ref), nats\",reward\r\nDPO,1,0.7\r\nDPO,4,0.9\r\nPPO,3,0.8\r\n", File.ReadAllText(At("frontier.csv")));
        Assert.Equal(
            "series,step,margin\r\nthe run: rewards/margins,1,0.5\r\nthe run: rewards/margins,2,1.5\r\n", File.ReadAllText(At("margins.csv")));
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], File.ReadAllBytes(At("frontier.png"))[..4]);
        Assert.Contains("dpo-beta-0.1", RunReportText(), StringComparison.Ordinal);

        string RunReportText() => File.ReadAllText(Path.Combine(Output, "report.html"));
    }

    /// <summary>The average of neighbours, so that no figure takes more than a few hundred points.</summary>
    [Fact]
    public void A_long_course_is_drawn_by_its_averages()
    {
        Directory.CreateDirectory(Output);
        File.WriteAllLines(
            Path.Combine(Output, "metrics.jsonl"), Enumerable.Range(1, 1000).Select(step => $"{{\"step\":{step},\"loss\":{step % 3}}}"));
        RunReport.Write([Output], Output);
        var rows = File.ReadAllLines(Path.Combine(Output, "report-figures", "loss.csv"));
        Assert.Equal(1 + 334, rows.Length);
        Assert.Equal("the run: loss,3,1", rows[1]); // (1 + 2 + 0) / 3
        Assert.Equal("the run: loss,1000,1", rows[^1]);
    }

    [Fact]
    public void Several_runs_are_reported_together()
    {
        string[] runs = [Path.Combine(Output, "one"), Path.Combine(Output, "two")];
        foreach (var run in runs)
            WriteRun(run);
        var page = File.ReadAllText(RunReport.Write(runs, Path.Combine(Output, "both")));
        Assert.Contains("<td>one/dpo-beta-0.1</td>", page, StringComparison.Ordinal);
        Assert.Contains("<td>two/ppo-6</td>", page, StringComparison.Ordinal);
        Assert.Contains("<h2>Settings of two</h2>", page, StringComparison.Ordinal);
        Assert.StartsWith("series,step,loss\r\none: loss,1,", File.ReadAllText(Path.Combine(Output, "both", "report-figures", "loss.csv")), StringComparison.Ordinal);
    }

    [Fact]
    public void Equal_runs_have_equal_reports()
    {
        string[] runs = [Path.Combine(Output, "one", "run"), Path.Combine(Output, "two", "run")];
        foreach (var run in runs)
        {
            WriteRun(run);
            RunReport.Write([run], run);
        }
        foreach (var file in Directory.GetFiles(runs[0], "*", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(runs[1], Path.GetRelativePath(runs[0], file))));
    }

    [Fact]
    public void What_is_not_there_is_said()
    {
        Directory.CreateDirectory(Output);
        File.WriteAllText(Path.Combine(Output, "metrics.jsonl"), "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":1}\n{\"step\":3,\"lo");
        var page = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.Contains("it has no run.json", page, StringComparison.Ordinal);
        Assert.Contains("no stage has a samples.jsonl", page, StringComparison.Ordinal);
        Assert.Contains("there is no frontier.jsonl", page, StringComparison.Ordinal);
        Assert.DoesNotContain("Reward and KL", page, StringComparison.Ordinal);

        File.WriteAllText(Path.Combine(Output, "metrics.jsonl"), "{\"step\":1,\"loss\":\"NaN\"}\n");
        File.WriteAllText(Path.Combine(Output, "samples.jsonl"), "{\"step\":1,\"prompt\":\"It\",\"policy\":\"is\"}\n{\"step\":2,\"pro");
        page = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.Contains("there is no metrics.jsonl with finite numbers", page, StringComparison.Ordinal);
        Assert.Contains("<p>is</p>", page, StringComparison.Ordinal); // and what was being written is not there yet
        Assert.Empty(Directory.GetFiles(Path.Combine(Output, "report-figures"))); // the loss of the report before is gone
    }

    /// <summary>An evaluation after the last step has one point.</summary>
    [Fact]
    public void A_single_point_is_drawn()
    {
        Directory.CreateDirectory(Output);
        File.WriteAllLines(Path.Combine(Output, "metrics.jsonl"), ["{\"step\":1,\"loss\":2}", "{\"step\":2,\"loss\":1,\"eval_loss\":1.5}"]);
        RunReport.Write([Output], Output);
        Assert.Equal("the run: eval_loss,2,1.5", File.ReadAllLines(Path.Combine(Output, "report-figures", "loss.csv"))[^1]);
    }

    /// <summary>What lies in a folder of runs are other runs, and two of one name are two.</summary>
    [Fact]
    public void Runs_are_kept_apart()
    {
        string[] runs = [Path.Combine(Output, "a", "run"), Path.Combine(Output, "b", "run")];
        foreach (var run in runs)
            WriteRun(run);
        var page = File.ReadAllText(RunReport.Write(runs, Output));
        Assert.All(runs, run => Assert.Contains($"<td>{run}/ppo-6</td>", page, StringComparison.Ordinal));

        WriteRun(Path.Combine(Output, "a", "run", "inner"));
        page = File.ReadAllText(RunReport.Write([runs[0]], runs[0]));
        Assert.DoesNotContain("inner", page + File.ReadAllText(Path.Combine(runs[0], "report-figures", "loss.csv")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("metrics.jsonl", "{\"loss\":1}\n", "metrics.jsonl:1 is no step with its metrics: It has no step. Take the line out, ")]
    [InlineData("metrics.jsonl", "{\"step\":1,\"loss\":\"x\"}\n", "metrics.jsonl:1 is no step with its metrics: ")]
    [InlineData("samples.jsonl", "{\"prompt\":\"a\"}\n", "samples.jsonl:1 is no sample: ")]
    [InlineData("run.json", "{\"program\":\"a\"}", "run.json is no record of a run: ")]
    [InlineData("run.json", "null", "run.json is no record of a run: ")]
    [InlineData("frontier.jsonl", "{}\n", "frontier.jsonl:1 is no point of a frontier: ")]
    public void A_damaged_file_is_named(string name, string content, string message)
    {
        WriteRun(Output);
        File.WriteAllText(Path.Combine(Output, name), content);
        var error = Assert.Throws<InvalidInputException>(() => RunReport.Write([Output], Output));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(Output, "report.html")));
    }

    [Fact]
    public void A_folder_without_a_run_is_refused()
    {
        Directory.CreateDirectory(Output);
        Assert.Equal(
            $"{Output} holds nothing to report: no run.json, frontier.jsonl, win-rates.jsonl or metrics.jsonl.",
            Assert.Throws<InvalidInputException>(() => RunReport.Write([Output], Output)).Message);
        var missing = Path.Combine(Output, "missing");
        Assert.Equal(
            $"{missing} is no folder; name the output folder of a run.",
            Assert.Throws<InvalidInputException>(() => RunReport.Write([missing], Output)).Message);
    }

    private static void WriteRun(string output)
    {
        Directory.CreateDirectory(output);
        new RunRecord
        {
            Program = "Imdb <small>",
            Options = new Dictionary<string, string> { ["beta"] = "0.1", ["seed"] = "0" },
            Data = new Dictionary<string, string> { ["reviews"] = "generated" },
            Audit = Audit.InWords(DataAudit.Of(
            [
                new("p", ["longer", "short"], [new(0, 1)]), new("q", ["longer", "short"], [new(0, 1)]), new("r", ["short", "longer"], [new(0, 1)]),
            ])),
            LeftOut = ["Fifteen of the runs."],
        }.Write(output);
        FrontierFile.Write(Path.Combine(output, RunReport.FrontierName),
        [
            Point("dpo-beta-0.1", "DPO", 10, 0.7, 1), Point("dpo-beta-0.1", "DPO", 20, 0.9, 4), Point("ppo-6", "PPO", 30, 0.8, 3),
        ]);
        File.WriteAllLines(Path.Combine(output, "metrics.jsonl"),
        [
            "{\"step\":1,\"loss\":0.69,\"rewards/margins\":0.5,\"grad_norm\":2}", "{\"step\":2,\"loss\":0.5,\"rewards/margins\":1.5,\"grad_norm\":1}",
        ]);
        File.WriteAllLines(Path.Combine(output, "samples.jsonl"),
        [
            "{\"step\":10,\"prompt\":\"It\",\"policy\":\"of step 10\",\"reference\":\"r\"}",
            "{\"step\":20,\"prompt\":\"It\",\"policy\":\"of step 20 & last\",\"reference\":\"r\"}",
        ]);
    }

    private static FrontierPoint Point(string run, string method, int step, double reward, double kl) => new()
    {
        Run = run,
        Method = method,
        Seed = 0,
        Step = step,
        Reward = Of(reward, 0.01),
        Kl = Of(kl, 0.2),
    };

    private static Estimate Of(double value, double error) => new()
    {
        Value = value,
        StandardError = error,
        Interval = Interval.Normal(value, error),
        Count = 100,
    };
}
