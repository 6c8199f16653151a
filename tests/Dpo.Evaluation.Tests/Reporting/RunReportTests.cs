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

    /// <summary>Fronts of two seeds: DPO's is 0.9 from KL 0 on where the other's is 0.7 and 0.6 from KL 1 on, over a reward of 0.5, up to
    /// where the other has been: (0.4 · 2 − 0.2 · 1) / 2 and (0.4 · 2 − 0.1 · 1) / 2 above it.</summary>
    [Fact]
    public void How_far_DPOs_front_is_above_another_stands_there_with_its_interval()
    {
        static Estimate Of(double value) => new() { Value = value, StandardError = 0, Interval = new Interval(value, value, 0.95), Count = 10 };
        static FrontierPoint At(string method, int seed, double reward, double kl) =>
            new() { Run = method, Method = method, Seed = seed, Step = 1, Reward = Of(reward), Kl = Of(kl) };
        Directory.CreateDirectory(Output);
        FrontierFile.Write(Path.Combine(Output, "frontier.jsonl"),
        [
            At("fine-tuned", 0, 0.5, 0), At("fine-tuned", 1, 0.5, 0),
            At("DPO", 0, 0.9, 1e-9), At("DPO", 1, 0.9, 1e-9), At("DPO", 0, 0.95, 9), At("DPO", 1, 0.95, 9),
            At("PPO", 0, 0.7, 1), At("PPO", 1, 0.6, 1), At("PPO", 0, 0.55, 2), At("PPO", 1, 0.55, 2),
            At("one seed", 0, 0.6, 1),
        ]);
        var page = File.ReadAllText(RunReport.Write([Output], Output));
        // 0.3 and 0.35: a mean of 0.325, a standard error of 0.025, and t of one degree of freedom, 12.706.
        Assert.Contains(
            "<td>PPO</td><td class=\"number\">2.00</td><td class=\"number\">0.325 ± 0.025</td><td class=\"number\">0.007 to 0.643</td>"
            + "<td class=\"number\">2</td><td class=\"number\">4 and 4</td>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<td>one seed</td><td class=\"number\">1.00</td>", page, StringComparison.Ordinal);
        Assert.Contains("over the mean reward 0.500 of the points of least KL", page, StringComparison.Ordinal);
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

    /// <summary>Stages lie one or two levels deep; another run is left alone with all below it, and so is what lies deeper.</summary>
    [Fact]
    public void Stages_are_found_two_levels_deep_in_one_order()
    {
        string[] stages = ["seed-1", "seed-0/dpo-beta-0.1", "seed-0", "seed-0-more/x", "Sft", "seed-0/a/too-deep", "run/inner", "run"];
        foreach (var stage in stages)
            Course(Path.Combine(Output, stage), "loss", 1);
        File.WriteAllText(Path.Combine(Output, "run", "run.json"), "not even read");
        RunReport.Write([Output], Output);
        Assert.Equal(
            ["Sft: loss", "seed-0: loss", "seed-0-more/x: loss", "seed-0/dpo-beta-0.1: loss", "seed-1: loss"], Series("loss"));
        RunReport.Write([Output, Path.Combine(Output, "seed-0")], Output);
        Assert.Contains($"{Path.GetFileName(Output)}/seed-0/dpo-beta-0.1: loss", Series("loss"));
        Assert.Contains("seed-0/a/too-deep: loss", Series("loss")); // seen from there it is not
    }

    [Fact]
    public void A_figure_draws_twelve_series_and_its_table_has_all()
    {
        for (var stage = 0; stage < 12; stage++)
            Course(Path.Combine(Output, $"stage-{stage:00}"), "loss", stage, stage + 1);
        var few = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.DoesNotContain("series are drawn", few, StringComparison.Ordinal);
        Assert.Contains("stage-11: loss", few, StringComparison.Ordinal);

        for (var stage = 12; stage < 40; stage++)
            Course(Path.Combine(Output, $"stage-{stage:00}"), "loss", stage, stage + 1);
        File.WriteAllText(Path.Combine(Output, "stage-39", "metrics.jsonl"), "{\"step\":1,\"loss\":1,\"grad_norm\":2}\n");
        FrontierFile.Write(
            Path.Combine(Output, RunReport.FrontierName), [.. Enumerable.Range(0, 13).Select(at => Point("run", $"method-{at:00}", 1, 0.5, at))]);
        var page = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.Contains(
            "here and below. The first 12 of 40 series are drawn; report-figures/loss.csv has all.</figcaption>", page, StringComparison.Ordinal);
        Assert.Contains("The first 12 of 13 series are drawn; report-figures/frontier.csv has all.</figcaption>", page, StringComparison.Ordinal);
        Assert.Contains("before it is clipped.</figcaption>", page, StringComparison.Ordinal);
        Assert.Contains("stage-11: loss", page, StringComparison.Ordinal);
        Assert.DoesNotContain("stage-12: loss", page, StringComparison.Ordinal);
        Assert.Contains("method-11", page, StringComparison.Ordinal);
        Assert.DoesNotContain("method-12", page, StringComparison.Ordinal);
        Assert.Equal(40, Series("loss").Length);
        Assert.Equal(["stage-38: loss,1,38", "stage-38: loss,2,39", "stage-39: loss,1,1"], File.ReadAllLines(Table("loss"))[^3..]);
        Assert.Equal(13, Series("frontier").Length);
    }

    /// <summary>A legend that has no room leaves entries out.</summary>
    [Theory]
    [InlineData(1, "0 0 720 440")]
    [InlineData(12, "0 0 720 640")]
    public void A_legend_of_long_names_has_room(int count, string viewBox)
    {
        string Name(int stage) => $"seed-{stage:00}/a-stage-whose-name-goes-on-and-on-and-on";
        for (var stage = 0; stage < count; stage++)
            Course(Path.Combine(Output, Name(stage)), "loss", stage, stage + 1);
        var page = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.Contains($"viewBox=\"{viewBox}\"", page, StringComparison.Ordinal);
        Assert.All(Enumerable.Range(0, count), stage => Assert.Contains(Name(stage) + ": loss", page, StringComparison.Ordinal));
    }

    [Fact]
    public void A_page_shows_the_texts_of_eight_stages()
    {
        for (var stage = 0; stage < 9; stage++)
        {
            Course(Path.Combine(Output, $"stage-{stage}"), "loss", 1);
            File.WriteAllText(
                Path.Combine(Output, $"stage-{stage}", "samples.jsonl"), $"{{\"step\":1,\"prompt\":\"p\",\"policy\":\"text {stage}\"}}\n");
        }
        var page = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.Equal(8, Regex.Count(page, "<h3>stage-"));
        Assert.Contains("<p>Those of the first 8 of 9 stages; the others have theirs in their own samples.jsonl.</p>", page, StringComparison.Ordinal);
        Assert.Contains("text 7", page, StringComparison.Ordinal);
        Assert.DoesNotContain("text 8", page, StringComparison.Ordinal);

        Directory.Delete(Path.Combine(Output, "stage-8"), recursive: true);
        page = File.ReadAllText(RunReport.Write([Output], Output));
        Assert.Equal((8, false), (Regex.Count(page, "<h3>stage-"), page.Contains("Those of the first", StringComparison.Ordinal)));
    }

    /// <summary>A trainer puts <c>eval_</c> and a set's name in front of what it measures there.</summary>
    [Fact]
    public void Named_held_out_sets_are_drawn()
    {
        Directory.CreateDirectory(Output);
        string[] measured = ["loss", "value_loss", "rewards/margins", "rewards/accuracies"];
        var values = measured.Concat(measured.Select(name => "eval_harmless_" + name)).Concat(measured.Select(name => "eval_my_own_" + name));
        File.WriteAllText(
            Path.Combine(Output, "metrics.jsonl"), $"{{\"step\":1,{string.Join(',', values.Select((name, at) => $"\"{name}\":{at}"))}}}\n");
        RunReport.Write([Output], Output);
        Assert.Equal(["the run: loss", "the run: eval_harmless_loss", "the run: eval_my_own_loss"], Series("loss"));
        foreach (var (figure, metric) in ((string, string)[])[("margins", "rewards/margins"), ("accuracies", "rewards/accuracies")])
            Assert.Equal([$"the run: {metric}", $"the run: eval_harmless_{metric}", $"the run: eval_my_own_{metric}"], Series(figure));
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
            $"{Output} holds nothing to report: no run.json, frontier.jsonl, win-rates.jsonl, scored-pairs.jsonl or metrics.jsonl.",
            Assert.Throws<InvalidInputException>(() => RunReport.Write([Output], Output)).Message);
        var missing = Path.Combine(Output, "missing");
        Assert.Equal(
            $"{missing} is no folder; name the output folder of a run.",
            Assert.Throws<InvalidInputException>(() => RunReport.Write([missing], Output)).Message);
    }

    private static void Course(string stage, string metric, params double[] values)
    {
        Directory.CreateDirectory(stage);
        File.WriteAllLines(
            Path.Combine(stage, "metrics.jsonl"), values.Select((value, at) => $"{{\"step\":{at + 1},\"{metric}\":{value}}}"));
    }

    private string Table(string figure) => Path.Combine(Output, "report-figures", $"{figure}.csv");

    private string[] Series(string figure) =>
        [.. File.ReadAllLines(Table(figure)).Skip(1).Select(line => line.Split(',')[0]).Distinct()];

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
