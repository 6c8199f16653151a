using System.Text.Json;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Tests.Judging;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public sealed class WinRateTests : IDisposable
{
    private static readonly string[] Short =
        ["--steps", "4", "--batch-size", "8", "--max-length", "128", "--max-new-tokens", "8", "--win-rate-prompts", "10"];

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static IReadOnlyList<WinRatePoint> Points(string output) => WinRateFile.Read(Path.Combine(output, "win-rates.jsonl"));

    /// <summary>The default run, of fewer prompts, and without what costs most.</summary>
    [Fact]
    public void DPO_answers_better_than_what_it_began_as()
    {
        SampleRun.Succeed("HelpfulHarmless",
            "--win-rate-prompts", "150", "--compare", "none", "--output", folder.Path);
        WinRatePoint Of(string method) => Points(folder.Path).Single(point => point is { Temperature: 0, Against: "the chosen ones" } && point.Method == method);
        var (before, after) = (Of("Preferred-FT"), Of("DPO"));
        Assert.True(before.Rate!.Interval.High < after.Rate!.Interval.Low, $"{before.Rate} {after.Rate}");
        Assert.Equal((150, 150), (before.Counts.Count, after.Counts.Count));
        Assert.Equal(32, after.Step);
        // The verdicts are in the file: of two methods at five temperatures, equal texts once.
        Assert.InRange(File.ReadAllLines(folder.File("verdicts.jsonl")).Length, 150, 2 * 5 * 150);
    }

    /// <summary>Figures 2 and Table 1: all that is measured is of all prompts, twice the same, and what was measured is not
    /// measured again.</summary>
    [Fact]
    public void Summaries_of_all_methods_are_measured_and_a_run_that_goes_on_measures_nothing_twice()
    {
        string[] Args(string name) => ["--steps", "2", .. Short[2..], "--checkpoint-every", "2", "--output", folder.File(name)];
        SampleRun.Succeed("TlDr", Args("first"));
        SampleRun.Succeed("TlDr", Args("second"));
        var points = Points(folder.File("first"));
        Assert.Equal(
            [("SFT", 5), ("DPO", 5), ("best of N", 3), ("PPO", 5)],
            points.Where(point => point is { Prompts: "held-out posts", Against: "the chosen ones" }).CountBy(point => point.Method).Select(of => (of.Key, of.Value)));
        Assert.Equal(
            [("SFT", 2), ("DPO", 2), ("PPO", 2)],
            points.Where(point => point is { Prompts: "news", Against: "the rejected ones" }).CountBy(point => point.Method).Select(of => (of.Key, of.Value)));
        Assert.All(points, point => Assert.Equal(10, point.Wins + point.Ties + point.Losses));
        foreach (var file in (string[])["win-rates.jsonl", "verdicts.jsonl", "model.safetensors", "ppo/model.safetensors", "reward/model.safetensors"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(folder.File("first"), file)), File.ReadAllBytes(Path.Combine(folder.File("second"), file)));

        var before = File.ReadAllBytes(folder.File("first/win-rates.jsonl"));
        File.Delete(folder.File("first/verdicts.jsonl"));
        SampleRun.Succeed("TlDr", [.. Args("first"), "--resume"]);
        Assert.Equal(before, File.ReadAllBytes(folder.File("first/win-rates.jsonl")));
        Assert.False(File.Exists(folder.File("first/verdicts.jsonl"))); // nobody was asked

        // Another run in its place leaves nothing of the other methods.
        SampleRun.Succeed("TlDr", [.. Short, "--compare", "none", "--overwrite", "--output", folder.File("first")]);
        Assert.False(File.Exists(folder.File("first/ppo/metrics.jsonl")) || File.Exists(folder.File("first/reward/model.safetensors")));
        Assert.Equal(["SFT", "DPO"], Points(folder.File("first")).Select(point => point.Method).Distinct());
    }

    /// <summary>Figure 4. One run is measured on the way and the other is not; a third goes on from its sixth step.</summary>
    [Fact]
    public void Measuring_on_the_way_changes_nothing_and_goes_on()
    {
        string[] args = ["--steps", "8", .. Short[2..], "--skip-sft", "--checkpoint-every", "6"];
        SampleRun.Succeed("HelpfulHarmless", [.. args, "--compare", "course", "--output", folder.File("measured")]);
        SampleRun.Succeed("HelpfulHarmless", [.. args, "--compare", "none", "--output", folder.File("plain")]);
        Assert.Equal(File.ReadAllBytes(folder.File("plain/model.safetensors")), File.ReadAllBytes(folder.File("measured/model.safetensors")));
        Assert.Equal(File.ReadAllBytes(folder.File("plain/metrics.jsonl")), File.ReadAllBytes(folder.File("measured/metrics.jsonl")));
        Assert.Equal(
            [1, 2, 3, 4, 5, 6, 7, 8],
            Points(folder.File("measured")).Where(point => point is { Method: "DPO", Temperature: 0.7, Against: "the chosen ones" }).Select(point => point.Step));
        Assert.StartsWith("series,step,", File.ReadAllText(folder.File("measured/report-figures/win-rates-1-step.csv")), StringComparison.Ordinal);

        var whole = File.ReadAllBytes(folder.File("measured/win-rates.jsonl"));
        Directory.Delete(Directory.GetDirectories(folder.File("measured/checkpoints")).Order().Last(), recursive: true);
        var said = SampleRun.Succeed("HelpfulHarmless", [.. args, "--compare", "course", "--resume", "--output", folder.File("measured")]);
        Assert.Matches("Going on from .*step-0*6", said);
        Assert.Equal(whole, File.ReadAllBytes(folder.File("measured/win-rates.jsonl")));
    }

    [Fact]
    public void Best_of_N_is_of_one_sampling()
    {
        SampleRun.Succeed("HelpfulHarmless", [.. Short, "--skip-sft", "--compare", "best-of-n", "--output", folder.Path]);
        Assert.Equal(
            [1, 4, 16, 64, 128],
            Points(folder.Path).Where(point => point is { Method: "best of N", Against: "the chosen ones" }).Select(point => point.BestOf ?? 0));
        Assert.Equal(6, File.ReadAllLines(folder.File("report-figures/win-rates-1-best-of.csv")).Length);
    }

    [Fact]
    public void A_service_judges_each_comparison_once_and_files_of_one_s_own_by_likeness()
    {
        var rows = folder.Write("rows.jsonl", string.Concat(DialogueCorpus.Generate(12, 9).Select(example => JsonSerializer.Serialize(
            new { prompt = example.Prompt, chosen = example.Completions[0], rejected = example.Completions[1] }) + "\n")));
        string[] Args(string output, params string[] more) =>
            [.. Short, "--skip-sft", "--train", rows, "--output", folder.File(output), .. more];
        using (var server = new ChatServer(_ => ChatReply.Verdict("A")))
        {
            string[] asking = ["--eval", rows, "--judge-endpoint", server.Endpoint.ToString(), "--judge-model", "judge-7"];
            SampleRun.Succeed("HelpfulHarmless", Args("asked", asking));
            var points = Points(folder.File("asked"));
            Assert.All(points, point => Assert.Equal(("judge-7, helpfulness", "the chosen ones", 10), (point.Judge, point.Against, point.Counts.Count)));
            Assert.All(points, point => Assert.InRange(point.Wins, 1, 9)); // shown in either order
            Assert.Equal(File.ReadAllLines(folder.File("asked/verdicts.jsonl")).Length, server.Requests.Count);
            Assert.Contains("judge-7 at http://", File.ReadAllText(folder.File("asked/report.html")), StringComparison.Ordinal);
        }

        SampleRun.Succeed("HelpfulHarmless", Args("likeness", "--eval", rows));
        Assert.All(Points(folder.File("likeness")), point => Assert.Equal(("ROUGE-L to the chosen completion", "the rejected ones"), (point.Judge, point.Against)));

        SampleRun.Succeed("HelpfulHarmless", Args("none"));
        Assert.False(File.Exists(folder.File("none/win-rates.jsonl")));
        Assert.Contains(
            "Win rates: they are of held-out prompts, and --train was given without --eval.", File.ReadAllText(folder.File("none/report.html")), StringComparison.Ordinal);
    }

    /// <summary>Hours of training are not to end at a wrong key.</summary>
    [Fact]
    public void A_service_that_refuses_is_known_before_training()
    {
        using var server = new ChatServer(_ => ChatReply.Failure(401));
        var (exitCode, _, error) = SampleRun.Run(
            "HelpfulHarmless", [.. Short, "--judge-endpoint", server.Endpoint.ToString(), "--judge-model", "m", "--output", folder.File("o")]);
        Assert.Equal(2, exitCode);
        Assert.Matches("was not judged, since 1 calls failed, the last with: .*401", error);
        Assert.False(Directory.Exists(folder.File("o/sft")));
    }

    /// <summary>The reward model that another run has learned; verdicts are kept where the run is replaced.</summary>
    [Fact]
    public void A_reward_model_judges()
    {
        string[] args = [.. Short, "--skip-sft", "--output"];
        SampleRun.Succeed("HelpfulHarmless", [.. args, folder.File("first"), "--compare", "best-of-n"]);
        args = [.. args, folder.File("o"), "--compare", "none", "--judge-reward", folder.File("first/reward")];
        SampleRun.Succeed("HelpfulHarmless", args);
        var points = Points(folder.File("o"));
        Assert.Equal(20, points.Count); // two methods at five temperatures, against either completion
        Assert.All(points, point => Assert.Equal((10, 0), (point.Counts.Count, point.Unparsed)));
        var verdicts = File.ReadAllLines(folder.File("o/verdicts.jsonl"));

        SampleRun.Succeed("HelpfulHarmless", [.. args, "--overwrite"]);
        Assert.Equal(verdicts, File.ReadAllLines(folder.File("o/verdicts.jsonl"))); // nobody was asked again
        Assert.Equal(points, Points(folder.File("o")));
    }

    [Theory]
    [InlineData("--judge-endpoint and --judge-model go together: give both.", "--judge-model", "m")]
    [InlineData("--judge-endpoint nowhere: the value must be an address, such as https://api.openai.com/v1.", "--judge-endpoint", "nowhere", "--judge-model", "m")]
    [InlineData("--judge-reward judges in the place of --judge-endpoint: give one of them.", "--judge-endpoint", "http://a/", "--judge-model", "m", "--judge-reward", "r")]
    [InlineData("--compare dpo: dpo is none of ppo, best-of-n; give some of these, or none.", "--compare", "dpo")]
    [InlineData("--win-rate-prompts -1: the value must be a whole number of at least 0. Run with --help for the options.", "--win-rate-prompts", "-1")]
    public void Options_that_do_not_go_together_are_refused(string message, params string[] args)
    {
        var (exitCode, _, error) = SampleRun.Run("TlDr", [.. args, "--output", folder.File("o")]);
        Assert.Equal((2, message), (exitCode, error.TrimEnd()));
    }

    /// <summary>SummEval's rows, and rows of a prompt and its summary; an article that is too long loses its end, and keeps what
    /// asks for the summary.</summary>
    [Fact]
    public void News_are_read_and_cut()
    {
        var rows = folder.Write("news.jsonl",
            JsonSerializer.Serialize(new
            {
                article = string.Join(' ', Enumerable.Repeat("Rain fell on the town", 200)),
                references = (string[])["It rained.", "Rain."],
                systems = (object[])[new { summary = "Sun.", scores = new { fluency = 5.0, relevance = 1 } }, new { summary = "Town", scores = new { fluency = 2.0, relevance = 3 } }]
            }) + "\n"
            + JsonSerializer.Serialize(new { prompt = "SOME news\nTL;DR:", chosen = " news", rejected = " olds" }) + "\n" + "{\"title\": 1}\n");
        var said = SampleRun.Succeed("TlDr", [.. Short, "--skip-sft", "--compare", "none", "--news", rows, "--output", folder.File("o")]);
        Assert.Contains("The news articles: read 3 rows; used 2", said, StringComparison.Ordinal);
        var news = Points(folder.File("o")).Where(point => point.Prompts == "news").ToArray();
        Assert.Equal([0.0, 0.25, 0, 0.25], news.Select(point => point.Temperature));
        Assert.All(news, point => Assert.Equal(2, point.Counts.Count + point.Unparsed));
    }
}
