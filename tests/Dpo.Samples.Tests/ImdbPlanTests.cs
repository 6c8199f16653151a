using Dpo.Tests;

namespace Dpo.Samples.Tests;

public sealed class ImdbPlanTests : IDisposable
{
    private readonly TemporaryFolder output = new();

    public void Dispose() => output.Dispose();

    private ImdbSettings Settings(params string[] more)
    {
        ImdbSettings? settings = null;
        Assert.Equal(0, new ImdbCommand().Run(["--output", output.Path, .. more], (asked, _) => settings = asked));
        return settings!;
    }

    private void Leave(string part)
    {
        Directory.CreateDirectory(output.File(part));
        foreach (var file in (string[])["finished.json", "points.jsonl", "metrics.jsonl", "model.safetensors"])
            File.WriteAllText(output.File($"{part}/{file}"), "{}");
    }

    private string[] Left(string part) => [.. Directory.GetFiles(output.File(part)).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];

    /// <summary>Of the earlier plan nothing counts as done any more: not what still runs over it either, should that end before it has begun. What
    /// the new plan has done is kept.</summary>
    [Fact]
    public void A_plan_that_replaces_another_takes_its_parts_away_and_none_of_its_own()
    {
        foreach (var part in (string[])["seed-0/sft", "seed-1/sft", "seed-0/ppo-kl-3", "seed-7/sft"])
            Leave(part);
        File.WriteAllText(output.File("run.json"), "{}");
        File.WriteAllText(output.File("seed-0/mine.txt"), "mine");
        var settings = Settings("--overwrite", "--seeds", "2", "--runs", "dpo-beta-1");
        ImdbPlan.Of(settings).Begin(settings, running: ["seed-1/sft"], ended: ["seed-0/sft"]);

        Assert.Equal(["finished.json", "metrics.jsonl", "model.safetensors", "points.jsonl"], Left("seed-0/sft"));
        Assert.Equal(["metrics.jsonl", "model.safetensors", "points.jsonl"], Left("seed-1/sft"));
        Assert.Empty(Left("seed-0/ppo-kl-3"));
        Assert.Empty(Left("seed-7/sft"));
        Assert.Equal(["mine.txt"], Left("seed-0"));
        Assert.False(File.Exists(output.File("run.json")));
        Assert.Equal(["seed-0/dpo-beta-1", "seed-1/sft", "seed-1/dpo-beta-1"], ImdbPlan.Jobs(Settings("--seeds", "2", "--runs", "dpo-beta-1")).Select(job => job.Name));
    }

    [Fact]
    public void A_plan_goes_on_with_more_runs_and_seeds_and_says_which_are_open()
    {
        var first = Settings("--runs", "dpo-beta-1,best-of-n");
        ImdbPlan.Of(first).Begin(first, running: [], ended: []);
        Leave("seed-0/sft");
        Leave("seed-0/dpo-beta-1");
        var second = Settings("--seed", "3", "--runs", "unlikelihood-alpha-1");
        var plan = ImdbPlan.Of(second);
        Assert.Equal([0, 3], plan.Seeds);
        Assert.Equal(["dpo-beta-1", "best-of-n", "unlikelihood-alpha-1"], plan.Runs);
        Assert.Equal(
            ["seed-0/best-of-n", "seed-0/unlikelihood-alpha-1", "seed-3/dpo-beta-1", "seed-3/best-of-n", "seed-3/unlikelihood-alpha-1"], plan.Open(second));
        var jobs = ImdbPlan.Jobs(Settings("--seeds", "4", "--runs", "best-of-n")).Where(job => job.Name.StartsWith("seed-0", StringComparison.Ordinal));
        Assert.Equal([("seed-0/reward-model", "seed-0/sft"), ("seed-0/best-of-n", "seed-0/sft seed-0/reward-model")], jobs.Select(job => (job.Name, string.Join(' ', job.After))));
    }

    /// <summary>A program of another kind would show its stages as its own.</summary>
    [Fact]
    public void A_folder_with_a_plan_is_taken()
    {
        var settings = Settings("--runs", "dpo-beta-1");
        ImdbPlan.Of(settings).Begin(settings, running: [], ended: []);
        var (exitCode, _, error) = SampleRun.Run("TlDr", "--output", output.Path);
        Assert.Equal((2, $"--output {output.Path}: {output.Path} holds an earlier run; add --overwrite to replace it, or give another folder.\n"), (exitCode, error));
    }

    [Fact]
    public void A_part_that_is_none_is_refused() =>
        Assert.Equal((2, "", "--job dpo: the plan has no such part.\n"), SampleRun.Run("Imdb", "--job", "dpo", "--output", output.Path));
}
