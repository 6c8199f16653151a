using Dpo.Baselines;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Measuring;

/// <summary>What the package's README shows of measuring.</summary>
public sealed class MeasuringReadmeTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private readonly string began = Directory.GetCurrentDirectory();

    public void Dispose()
    {
        Directory.SetCurrentDirectory(began);
        folder.Dispose();
    }

    private static void Run(
        string checkpoint, string reference, IReadOnlyList<IReadOnlyList<int>> prompts, IReward reward, TextTokenizer tokenizer, FrontierPoint[] earlier, Verdict[] verdicts)
    {
        using var policy = CausalLanguageModel.Load(checkpoint);
        using var pair = new PolicyReferencePair(policy, CausalLanguageModel.Load(reference));
        var sampling = new SamplingOptions { MaxNewTokens = 48, SamplesPerPrompt = 4 };
        var measured = RewardAndKl.Measure(pair, prompts, reward, sampling, tokenizer);
        Console.WriteLine($"reward {Text(measured.Reward)}, KL {Text(measured.Kl.PerSequence)} nats");

        FrontierPoint[] points = [.. earlier, FrontierPoint.Of("dpo-beta-0.1", "DPO", seed: 0, step: 500, measured)];
        FrontierFile.Write("frontier.jsonl", points); // to be read again, plotted and compared
        var above = new Frontier(points).HeightOver("DPO", "PPO", mostKl: 12, leastReward: 0.5);
        Console.WriteLine($"DPO's front is {Text(above)} above PPO's, over {above.Count} seeds");

        var rate = WinRate.Of(verdicts);
        Console.WriteLine($"won {Text(rate.TiesAsHalf())}, p = {rate.SignTest():g2}");

        static string Text(Estimate of) => $"{of.Value:f3} [{of.Interval.Low:f3}, {of.Interval.High:f3}]";
    }

    [Fact]
    public void Is_the_README_s()
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "Dpo.sln")))
            root = root.Parent!;
        string Text(params string[] file) => File.ReadAllText(Path.Combine([root.FullName, .. file])).ReplaceLineEndings("\n");
        var shown = Text("src", "Dpo.Evaluation", "README.md").Split("## Measure,")[1].Split("```csharp\n")[1].Split("```")[0];
        Assert.Contains(
            string.Concat(shown.TrimEnd().Split('\n').Select(line => line.Length > 0 ? $"        {line}\n" : "\n")),
            Text("tests", "Dpo.Evaluation.Tests", "Measuring", $"{nameof(MeasuringReadmeTests)}.cs"), StringComparison.Ordinal);
    }

    [Fact]
    public void It_measures_keeps_and_compares()
    {
        Directory.SetCurrentDirectory(folder.Path);
        Estimate Of(double value) => new() { Value = value, StandardError = 0, Interval = new(value, value, 0.95), Count = 2 };
        FrontierPoint Point(string method, int seed, double reward) => new() { Run = method, Method = method, Seed = seed, Step = 1, Kl = Of(1), Reward = Of(reward) };
        using var written = new StringWriter();
        var console = Console.Out;
        Console.SetOut(written);
        try
        {
            Run(
                Fixture.Path("models", "gpt2"), Fixture.Path("models", "gpt2"), [[40, 41], [42]], new FunctionReward(answer => answer.Ids.Count),
                TextTokenizer.Load(Fixture.Path("models", "gpt2")), [Point("PPO", 0, 1), Point("PPO", 1, 1), Point("DPO", 0, 1), Point("DPO", 1, 1)],
                [Verdict.Win, Verdict.Win, Verdict.Tie, Verdict.Loss]);
        }
        finally
        {
            Console.SetOut(console);
        }
        // The models are one: at KL 0 the policy has its reward.
        var points = FrontierFile.Read("frontier.jsonl");
        Assert.Equal(5, points.Count);
        Assert.InRange(points[^1].Kl.Value, -1e-6, 1e-6);
        Assert.InRange(points[^1].Reward.Value, 1, 48);
        var lines = written.ToString().ReplaceLineEndings("\n").Split('\n');
        Assert.StartsWith($"reward {points[^1].Reward.Value:f3} [", lines[0], StringComparison.Ordinal);
        Assert.EndsWith("above PPO's, over 2 seeds", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("won 0.625 [", lines[2], StringComparison.Ordinal);
        Assert.EndsWith("p = 1", lines[2], StringComparison.Ordinal);
    }
}
