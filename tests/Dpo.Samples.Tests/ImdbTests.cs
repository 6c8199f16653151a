using System.Diagnostics;
using System.Text.Json;
using Dpo.Evaluation.Measuring;
using Dpo.Files;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class ImdbTests
{
    /// <summary>A plan of small parts on a few reviews: 300 that are generated.</summary>
    private static string[] Small(string reviews, string output, params string[] more)
    {
        if (!File.Exists(reviews))
            File.WriteAllLines(reviews, ReviewCorpus.Generate(300, seed: 5).Select(review =>
                JsonSerializer.Serialize(new { text = review.Text, label = review.Positive ? 1 : 0 })));
        (string, string)[] options =
        [
            ("--data", reviews), ("--sft-steps", "4"), ("--prefixes", "24"), ("--held-out-prefixes", "6"), ("--steps", "3"), ("--batch-size", "24"),
            ("--max-new-tokens", "8"), ("--ppo-rounds", "2"), ("--points", "2"), ("--best-of", "4"), ("--jobs", "2"), ("--output", output),
        ];
        return [.. options.Where(option => !more.Contains(option.Item1)).SelectMany(option => new[] { option.Item1, option.Item2 }), .. more];
    }

    private static IReadOnlyList<FrontierPoint> Points(string output) => FrontierFile.Read(Path.Combine(output, "frontier.jsonl"));

    /// <summary>All files, but those that tell the time, and locks.</summary>
    private static SortedDictionary<string, string> Contents(string folder) => new(
        Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
            .Where(path => !path.EndsWith("timing.jsonl", StringComparison.Ordinal) && !path.Contains("tfevents", StringComparison.Ordinal)
                && !path.EndsWith(".lock", StringComparison.Ordinal))
            .ToDictionary(path => Path.GetRelativePath(folder, path), path => Convert.ToBase64String(File.ReadAllBytes(path))),
        StringComparer.Ordinal);

    /// <summary>A shortened run of the program's main job; larger steps make up for fewer of them.</summary>
    [Fact]
    public void DPO_raises_the_reward_on_held_out_prefixes()
    {
        using var output = new TemporaryFolder();
        var text = SampleRun.Succeed("Imdb",
            "--runs", "dpo-beta-0.1", "--sft-steps", "80", "--prefixes", "400", "--held-out-prefixes", "300", "--learning-rate", "1e-4", "--points", "3",
            "--output", output.Path);

        var points = Points(output.Path);
        Assert.Equal(["sft", "dpo-beta-0.1", "dpo-beta-0.1", "dpo-beta-0.1"], points.Select(point => point.Run));
        var (sft, dpo) = (points[0], points[^1]);
        var errors = Math.Sqrt(Math.Pow(sft.Reward.StandardError, 2) + Math.Pow(dpo.Reward.StandardError, 2));
        Assert.True(dpo.Reward.Value > sft.Reward.Value + (3 * errors), $"{sft.Reward} {dpo.Reward}");
        Assert.Equal(0, sft.Kl.Value);
        Assert.True(dpo.Kl.Value > 3 * dpo.Kl.StandardError, $"{dpo.Kl}");
        Assert.All(points, point => Assert.Equal((300, 0), (point.Reward.Count, point.Seed)));
        Assert.Contains("KL(π‖π_ref)", text, StringComparison.Ordinal);
        foreach (var part in (string[])["sft", "dpo-beta-0.1"])
        {
            using var model = CausalLanguageModel.Load(output.File($"seed-0/{part}"));
            TextTokenizer.Load(output.File($"seed-0/{part}"));
        }
    }

    /// <summary>What it leaves, that a second start does nothing, that one with more does what is missing, and that one with other
    /// options is refused; then, replaced, that the bytes are the same again.</summary>
    [Fact]
    public void A_plan_keeps_what_is_done_and_goes_on()
    {
        using var folder = new TemporaryFolder();
        var (reviews, output) = (folder.File("reviews.jsonl"), folder.File("out"));
        string[] Plan(string runs, params string[] more) => Small(reviews, output, ["--runs", runs, .. more]);

        SampleRun.Succeed("Imdb", Plan("dpo-beta-1,unlikelihood-alpha-0.5,preferred-ft-2"));
        Assert.Equal(
            ["sft/0", "dpo-beta-1/2", "dpo-beta-1/3", "unlikelihood-alpha-0.5/2", "unlikelihood-alpha-0.5/3", "preferred-ft-2/2", "preferred-ft-2/3"],
            Points(output).Select(point => $"{point.Run}/{point.Step}"));
        var before = Contents(output);
        Assert.StartsWith("All of it was done before", SampleRun.Succeed("Imdb", Plan("dpo-beta-1")), StringComparison.Ordinal);
        Assert.Equal(before, Contents(output));

        // More runs, and a seed more: those alone are done.
        var text = SampleRun.Succeed("Imdb", Plan("dpo-beta-1,ppo-kl-3,ppo-gt-kl-3,best-of-n"));
        Assert.DoesNotContain("seed-0/dpo-beta-1", text, StringComparison.Ordinal);
        Assert.Contains("best-of-4", Points(output).Select(point => point.Run));
        Assert.Equal(
            ["DPO", "PPO", "PPO-GT", "Preferred-FT", "best of N", "fine-tuned", "unlikelihood"],
            Points(output).Select(point => point.Method).Distinct().Order(StringComparer.Ordinal));
        var page = File.ReadAllText(Path.Combine(output, "report.html"));
        Assert.Contains("are not planned: dpo-beta-0.05,", page, StringComparison.Ordinal);
        Assert.Contains("seed-0/ppo-kl-3", File.ReadAllText(Path.Combine(output, "report-figures", "kl.csv")), StringComparison.Ordinal);
        foreach (var file in before.Where(file => file.Key.StartsWith("seed-0", StringComparison.Ordinal)))
            Assert.Equal(file.Value, Contents(output)[file.Key]);

        var all = Contents(output);
        var (exitCode, _, error) = SampleRun.Run("Imdb", Plan("dpo-beta-1", "--steps", "2"));
        Assert.Equal(2, exitCode);
        Assert.StartsWith($"--output {output}: its plan has another DPO and unlikelihood (RmsProp, learning rate 1E-05, batches of 24, 3 steps, and now "
            + "RmsProp, learning rate 1E-05, batches of 24, 2 steps); give the same options,", error, StringComparison.Ordinal);
        Assert.Equal(all, Contents(output));

        // Replaced by one that ends at bad input: nothing is lost. Then by one of the first run alone.
        File.WriteAllText(folder.File("none.jsonl"), "");
        Assert.Equal(2, SampleRun.Run("Imdb", Plan("dpo-beta-1", "--overwrite", "--data", folder.File("none.jsonl"))).ExitCode);
        Assert.Equal(all, Contents(output));
        SampleRun.Succeed("Imdb", Plan("dpo-beta-1", "--overwrite"));
        Assert.Equal(["sft/0", "dpo-beta-1/2", "dpo-beta-1/3"], Points(output).Select(point => $"{point.Run}/{point.Step}"));
        Assert.DoesNotContain("seed-0/ppo", File.ReadAllText(Path.Combine(output, "report.html")), StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(output, "report-figures", "kl.csv"))); // PPO's alone
        Assert.False(File.Exists(Path.Combine(output, "seed-0", "ppo-kl-3", "metrics.jsonl")));
        foreach (var (name, content) in Contents(output).Where(file => file.Key.StartsWith("seed-0", StringComparison.Ordinal)))
            Assert.Equal(before[name], content);
    }

    /// <summary>A kill takes what was under way; its parts end too, and the next start makes the rest.</summary>
    [Fact]
    public async Task A_killed_plan_is_gone_on_with()
    {
        using var folder = new TemporaryFolder();
        var (reviews, output, whole) = (folder.File("reviews.jsonl"), folder.File("out"), folder.File("whole"));
        string[] Plan(string target) =>
            Small(reviews, target, "--runs", "dpo-beta-0.1,unlikelihood-alpha-1", "--seed", "1", "--steps", "16", "--checkpoint-every", "5");
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Imdb.dll"), .. Plan(output)])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using (var process = Process.Start(start)!)
        {
            var checkpoint = Path.Combine(output, "seed-1", "dpo-beta-0.1", "checkpoints", "step-000005");
            while (!process.HasExited && !Directory.Exists(checkpoint))
                await Task.Delay(5);
            process.Kill(); // itself alone
            await process.WaitForExitAsync();
            await process.StandardOutput.ReadToEndAsync(); // which its parts hold until they end
        }
        Assert.False(File.Exists(Path.Combine(output, "report.html")));
        Assert.False(File.Exists(Path.Combine(output, "seed-1", "dpo-beta-0.1", "finished.json")));
        Assert.Contains("Going on from", SampleRun.Succeed("Imdb", Plan(output)), StringComparison.Ordinal);

        SampleRun.Succeed("Imdb", Plan(whole));
        foreach (var name in (string[])["frontier.jsonl", "run.json", "report.html", "seed-1/dpo-beta-0.1/model.safetensors", "seed-1/dpo-beta-0.1/points.jsonl"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(whole, name)), File.ReadAllBytes(Path.Combine(output, name)));
    }

    /// <summary>A second start that is stopped before anything of it has ended: its parts end too, and the report is of what had.</summary>
    [Fact]
    public async Task A_plan_that_is_stopped_reports_what_has_ended()
    {
        if (OperatingSystem.IsWindows())
            return; // has no such signal
        using var folder = new TemporaryFolder();
        var output = folder.File("out");
        string[] Plan(string runs) => Small(folder.File("reviews.jsonl"), output, "--runs", runs, "--ppo-rounds", "60");
        SampleRun.Succeed("Imdb", Plan("dpo-beta-1"));
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Imdb.dll"), .. Plan("ppo-gt-kl-3")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var (text, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        var begun = Path.Combine(output, "seed-0", "ppo-gt-kl-3", "metrics.jsonl");
        while (!process.HasExited && !File.Exists(begun))
            await Task.Delay(5);
        await Task.Delay(500); // until the plan has seen it
        using (var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]))
            await kill.WaitForExitAsync();
        await process.WaitForExitAsync();
        Assert.Equal(
            (143, "Stopped. What has ended is kept; the same command, without --overwrite, goes on with the rest.\n"), (process.ExitCode, await error));
        Assert.EndsWith($"The report is {Path.Combine(output, "report.html")}.\n", await text, StringComparison.Ordinal);
        Assert.Equal(["sft", "dpo-beta-1"], Points(output).Select(point => point.Run).Distinct());
        Assert.Contains("<li>Planned, and not done: seed-0/ppo-gt-kl-3.</li>", File.ReadAllText(Path.Combine(output, "report.html")), StringComparison.Ordinal);
        using var claim = new FolderLock(Path.Combine(output, "seed-0", "ppo-gt-kl-3")); // nobody works there any more
    }

    /// <summary>A learning rate that no model bears is DPO's alone.</summary>
    [Fact]
    public void A_run_that_fails_takes_no_other_along()
    {
        using var folder = new TemporaryFolder();
        var output = folder.File("out");
        var (exitCode, text, error) = SampleRun.Run("Imdb", Small(
            folder.File("reviews.jsonl"), output, "--runs", "dpo-beta-1,preferred-ft-1,unlikelihood-alpha-1", "--learning-rate", "1e30"));
        Assert.Equal(1, exitCode);
        Assert.StartsWith("2 of 4 failed, the first of them seed-0/", error, StringComparison.Ordinal);
        Assert.EndsWith("What ended well is kept; the same command, without --overwrite, runs the rest.", error.TrimEnd(), StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.Contains("seed-0/dpo-beta-1 failed: ", text, StringComparison.Ordinal);
        Assert.Equal(["sft", "preferred-ft-1"], Points(output).Select(point => point.Run).Distinct());
        Assert.Contains("Planned, and not done: seed-0/dpo-beta-1, seed-0/unlikelihood-alpha-1.", File.ReadAllText(Path.Combine(output, "report.html")), StringComparison.Ordinal);
    }

    /// <summary>The weights of the classifier are random: whose the reward is shows in the figures alone.</summary>
    [Fact]
    public void The_reward_is_the_named_classifiers()
    {
        using var folder = new TemporaryFolder();
        var classifierFolder = Fixture.Path("models", "roberta");
        var output = folder.File("out");
        SampleRun.Succeed("Imdb", Small(folder.File("reviews.jsonl"), output, "--runs", "dpo-beta-0.1", "--reward-model", classifierFolder));

        // As many prefixes are shown with their continuations as there are.
        using var classifier = RobertaClassifier.Load(classifierFolder);
        foreach (var part in (string[])["sft", "dpo-beta-0.1"])
        {
            string[] continued =
            [
                .. File.ReadLines(Path.Combine(output, "seed-0", part, "samples.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
                    .Select(sample => sample.GetProperty("prompt").GetString() + sample.GetProperty("policy").GetString()),
            ];
            Assert.Equal(6, continued.Length);
            Assert.Equal(
                classifier.LogProbabilities(continued).Average(logProbs => Math.Exp(logProbs[classifier.IndexOf("POSITIVE")])),
                Points(output).Last(point => point.Run == part).Reward.Value, 1e-6);
        }
    }

    [Fact]
    public void A_model_of_ones_own_continues_prefixes_behind_its_beginning_of_text()
    {
        using var folder = new TemporaryFolder();
        var output = folder.File("out");
        var text = SampleRun.Succeed("Imdb", Small(
            folder.File("reviews.jsonl"), output, "--model", Fixture.Path("models", "llama"), "--bos", "on", "--runs", "dpo-beta-0.1"));
        Assert.Contains("seed-0/sft: Every prefix begins with <|endoftext|>.", text, StringComparison.Ordinal);
        using (var model = CausalLanguageModel.Load(Path.Combine(output, "seed-0", "dpo-beta-0.1")))
            Assert.IsType<Llama>(model);

        // It is not replaced by what is made of it.
        var (exitCode, _, error) = SampleRun.Run("Imdb", Small(
            folder.File("reviews.jsonl"), output, "--model", Path.Combine(output, "seed-0", "sft"), "--overwrite"));
        Assert.Equal(2, exitCode);
        Assert.Equal($"--output {output}: the model of --model lies in it, and would be replaced; give another folder.", error.TrimEnd());
    }

    [Theory]
    [InlineData("/no/such.jsonl cannot be read: ", "--data", "/no/such.jsonl")]
    [InlineData("--runs dpo-beta-zero: there is no such run; give names with commas between them, of dpo-beta-X, ", "--runs", "dpo-beta-0.1,dpo-beta-zero")]
    [InlineData("--runs unlikelihood-alpha-2: there is no such run", "--runs", "unlikelihood-alpha-2")]
    [InlineData("--runs preferred-ft-1.5: there is no such run", "--runs", "preferred-ft-1.5")]
    [InlineData("--runs names what to run and --full is all of it", "--runs", "best-of-n", "--full")]
    public void What_cannot_be_used_is_refused_in_a_sentence(string message, params string[] options)
    {
        using var folder = new TemporaryFolder();
        var (exitCode, _, error) = SampleRun.Run("Imdb", [.. options, "--output", folder.File("out")]);
        Assert.Equal(2, exitCode);
        Assert.StartsWith(message, error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.False(Directory.Exists(folder.File("out")));
    }

    [Fact]
    public void The_papers_runs_are_22_and_known_by_their_names()
    {
        var all = MethodRun.All.Select(MethodRun.Parse).ToArray();
        Assert.Equal(22, all.Select(run => run.Name).Distinct().Count());
        Assert.Equal(MethodRun.All, all.Select(run => run.Name));
        Assert.Equal(
            [0.05, 0.1, 1, 5, 3, 6, 9, 12, 3, 6, 9, 12, 0.05, 0.1, 0.5, 1], all.Take(16).Select(run => run.Number));
        Assert.Equal(new("dpo-beta-0.1", Method.Dpo, 0.1), MethodRun.Parse("dpo-beta-1e-1"));
        Assert.Subset(all.Select(run => run.Name).ToHashSet(), MethodRun.Few.ToHashSet());
    }
}
