using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Measuring;

public sealed class FrontierTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static readonly FrontierPoint[] points =
    [
        Point("dpo-0.1", "DPO", 0, 100, kl: 1, reward: 0.6), Point("dpo-0.1", "DPO", 0, 200, kl: 2, reward: 0.5),
        Point("dpo-0.05", "DPO", 0, 200, kl: 3, reward: 0.9), Point("ppo, target 3", "PPO", 0, 50, kl: 1, reward: 0.3),
        Point("dpo-0.1", "DPO", 1, 200, kl: 2, reward: 0.8), Point("ppo, target 3", "PPO", 1, 50, kl: 2, reward: 0.4),
        Point("ppo, target 3", "PPO", 2, 50, kl: 2, reward: 0.9),
    ];

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_method_s_front_is_of_its_own_points()
    {
        var frontier = new Frontier(points);
        Assert.Equal(["DPO", "PPO"], frontier.Methods);
        Assert.Equal([points[0], points[4], points[2]], frontier.Front("DPO"));
        Assert.Equal([points[3], points[6]], frontier.Front("PPO"));
    }

    /// <summary>Up to KL 4 over a reward of 0.2: of seed 0 DPO has (3·0.4 + 1·0.3) / 4, PPO 3·0.1 / 4; of seed 1 2·0.6 / 4 and 2·0.2 /
    /// 4; seed 2 is only PPO's.</summary>
    [Fact]
    public void Fronts_are_compared_over_the_seeds_that_both_have()
    {
        var over = new Frontier(points).HeightOver("DPO", "PPO", mostKl: 4, leastReward: 0.2);
        Assert.Equal(2, over.Count);
        Numbers.AssertClose((0.3 + 0.2) / 2, over.Value, 1e-12);
        Numbers.AssertClose(0.05, over.StandardError, 1e-12);
        Assert.Contains(
            "DPO and none have 0", Assert.Throws<ArgumentException>(() => new Frontier(points).HeightOver("DPO", "none", 4, 0)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Frontier(points).HeightOver("DPO", "PPO", 0, 0));
    }

    [Fact]
    public void Files_are_read_as_they_were_written()
    {
        FrontierPoint[] odd = [.. points, points[0] with { Kl = points[0].Kl with { Value = 1.0 / 3, StandardError = double.NaN, Interval = new(double.NegativeInfinity, 2, 0.9) } }];
        var path = folder.File("frontier.jsonl");
        FrontierFile.Write(path, odd);
        Assert.Equal(odd, FrontierFile.Read(path));
        Assert.Equal(odd.Length, File.ReadLines(path).Count());
        Assert.StartsWith(
            """{"run":"dpo-0.1","method":"DPO","seed":0,"step":100,"reward":{"value":0.6,"standard_error":0.01,"interval":{"low":0.58,"high":0.62,"level":0.95},"count":50}""",
            File.ReadLines(path).First(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{\"run\": \"a\"}")]
    [InlineData("{\"run\": 1}")]
    [InlineData("{\"run\"")]
    public void A_line_that_is_no_point_is_refused(string line)
    {
        FrontierFile.Write(folder.File("frontier.jsonl"), points[..1]);
        File.AppendAllText(folder.File("frontier.jsonl"), line + "\n");
        Assert.StartsWith(
            $"{folder.File("frontier.jsonl")}:2 is no point of a frontier: ",
            Assert.Throws<InvalidInputException>(() => FrontierFile.Read(folder.File("frontier.jsonl"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_table_says_which_points_are_on_their_front()
    {
        var path = folder.File("frontier.csv");
        FrontierFile.WriteCsv(path, new Frontier(points));
        var lines = File.ReadAllText(path).Split("\r\n");
        Assert.Equal("run,method,seed,step,reward,reward_standard_error,reward_low,reward_high,reward_count,kl,kl_standard_error,kl_low,kl_high,kl_count,on_front", lines[0]);
        Assert.Equal("dpo-0.1,DPO,0,100,0.6,0.01,0.58,0.62,50,1,0.01,0.98,1.02,50,1", lines[1]);
        Assert.Equal(["1", "0", "1", "1", "1", "0", "1"], lines[1..^1].Select(line => line[^1..]));
        Assert.StartsWith("\"ppo, target 3\",PPO,0,50,", lines[4], StringComparison.Ordinal);
    }

    private static FrontierPoint Point(string run, string method, int seed, int step, double kl, double reward) => new()
    {
        Run = run,
        Method = method,
        Seed = seed,
        Step = step,
        Reward = Of(reward),
        Kl = Of(kl),
    };

    private static Estimate Of(double value) => new()
    {
        Value = value,
        StandardError = 0.01,
        Interval = new Interval(Math.Round(value - 0.02, 2), Math.Round(value + 0.02, 2), 0.95),
        Count = 50,
    };
}
