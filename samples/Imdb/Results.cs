using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;
using Spectre.Console;

namespace Dpo.Samples;

/// <summary>What the plan has come to: lines, a table, and the report.</summary>
internal static class Results
{
    /// <summary>What a part reached last, in a line.</summary>
    public static string Last(Job job, ImdbSettings settings)
    {
        var path = Path.Combine(settings.Output, job.Name, Parts.PointsName);
        return File.Exists(path) && FrontierFile.Read(path) is [.., var last]
            ? $"reward {Text(last.Reward, "0.000")}, KL {Text(last.Kl, "0.00")} nats"
            : "ended";
    }

    /// <summary>Writes the report of all that has ended, and prints where every run is.</summary>
    public static void Report(ImdbPlan plan, ImdbSettings settings)
    {
        var (points, digests) = plan.Results(settings);
        if (points.Count == 0)
            return;
        var last = points.GroupBy(point => (point.Run, point.Seed)).Select(run => run.MaxBy(point => point.Step)!).ToArray();
        var table = new Table().AddColumns("run", "seed", "reward", "KL(π‖π_ref), nats");
        foreach (var point in last)
            table.AddRow(point.Run, $"{point.Seed}", Text(point.Reward, "0.000"), Text(point.Kl, "0.00"));
        AnsiConsole.Write(table);
        FrontierFile.Write(Path.Combine(settings.Output, RunReport.FrontierName), points);
        Reports.Write(
            new RunRecord
            {
                Program = "Imdb",
                Options = new Dictionary<string, string>(settings.InWords())
                {
                    ["seeds"] = string.Join(", ", plan.Seeds),
                    ["runs"] = string.Join(", ", plan.Runs),
                },
                Data = digests.Where(of => of.Key.EndsWith("preferences", StringComparison.Ordinal)).ToDictionary(),
                Models = digests.Where(of => !of.Key.EndsWith("preferences", StringComparison.Ordinal)).ToDictionary(),
                LeftOut = LeftOut(plan, settings),
            },
            settings.Output);
    }

    private static IReadOnlyList<string> LeftOut(ImdbPlan plan, ImdbSettings settings)
    {
        string[] paper = [.. MethodRun.All.Except(plan.Runs)];
        string[] open = [.. plan.Open(settings)];
        return
        [
            .. paper.Length == 0 ? (string[])[]
                : [$"Of the 22 runs of Figure 2 (left) {paper.Length} are not planned: {string.Join(", ", paper)}; --full does."],
            .. open.Length == 0 ? (string[])[] : [$"Planned, and not done: {string.Join(", ", open)}."],
            .. plan.Seeds.Count > 1 ? (string[])[]
                : ["One seed says nothing of how much results vary; --seeds 3 runs all under three."],
        ];
    }

    private static string Text(Estimate estimate, string format) =>
        $"{estimate.Value.ToString(format)} ± {estimate.StandardError.ToString(format)}";
}
