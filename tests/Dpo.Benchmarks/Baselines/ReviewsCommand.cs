using System.CommandLine;
using System.Text.Json;
using Dpo.Samples;
using Spectre.Console;

namespace Dpo.Benchmarks;

/// <summary>What to measure: all methods under one seed.</summary>
internal sealed record ReviewsRequest(int Seed);

/// <summary><c>reviews</c>: what the paper's Figure 2 (left) compares, small, on generated reviews.</summary>
internal static class ReviewsCommand
{
    public const string Child = "reviews-child";

    public static Command Create()
    {
        var command = new Command("reviews", "Reward and KL of DPO, rounds of it, PPO, best-of-N and other baselines on generated reviews.");
        var seeds = CliOption.Whole("--seeds", "Seeds, from 0 on. [default: 3]", 2);
        var json = CliOption.Path("--json", "FILE", "Also write the figures as JSON.");
        command.Options.Add(seeds);
        command.Options.Add(json);
        command.SetAction(parsed => Run(parsed.GetValue(seeds) ?? 3, parsed.GetValue(json)));
        return command;
    }

    private static void Run(int seeds, string? json)
    {
        var all = Enumerable.Range(0, seeds).Select(seed =>
        {
            Console.Error.WriteLine($"Seed {seed} of {seeds}.");
            return ChildProcess.Run<ReviewsRequest, ReviewsRow[]>(Child, new(seed));
        }).ToArray();
        var table = Report.Table("method", "reward", "KL(π‖π_ref), nats");
        for (var row = 0; row < all[0].Length; row++)
            table.AddRow(
                all[0][row].Method, MeanAndError([.. all.Select(rows => rows[row].Reward)], "0.000"),
                MeanAndError([.. all.Select(rows => rows[row].Kl)], "0.00"));
        Report.Show(table);
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { seeds = all }) + "\n");
    }

    public static ReviewsRow[] Measure(ReviewsRequest request)
    {
        using var run = new ReviewsRun(request.Seed);
        return run.Measure();
    }

    /// <summary>The mean over seeds and its standard error.</summary>
    private static string MeanAndError(double[] values, string format)
    {
        var mean = values.Average();
        var error = Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Length - 1) / values.Length);
        return $"{mean.ToString(format)} ± {error.ToString(format)}";
    }
}
