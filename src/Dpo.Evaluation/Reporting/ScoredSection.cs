using System.Globalization;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Reporting;

/// <summary>How right implicit rewards are about pairs, and whether they are as sure as they are right.</summary>
internal static class ScoredSection
{
    /// <summary>The figure's name.</summary>
    public const string FigureName = "calibration";

    /// <summary>Adds those of each run that has scored pairs.</summary>
    public static void Add(Page page, List<Figure> figures, IReadOnlyList<ReportedRun> runs)
    {
        var scored = runs.Where(run => run.Scored.Count > 0)
            .Select(run => (Run: run, Calibration: Calibration.Of([.. run.Scored.Select(pair => pair.Margin)]))).ToArray();
        if (scored.Length == 0)
            return;
        page.Heading("Pairs ordered by implicit rewards");
        page.Paragraph(
            "A pair is right where the chosen completion has the higher reward. The calibration error is by how much the share " +
            "of right pairs differs from what the margins promise, on average over bins of similar margins.");
        page.Table(
            ["run", "pairs", "accuracy", "95 %", "calibration error"],
            [
                .. scored.Select(of => (string[])
                [
                    of.Run.Name, .. Cells(of.Calibration.Accuracy),
                    of.Calibration.ExpectedError.ToString("0.000", CultureInfo.InvariantCulture),
                ]),
            ]);
        var figure = new Figure(
            FigureName,
            "The share of pairs that are right against what their margins m promise, σ(|m|), in bins of as many pairs each, " +
            "with Wilson's 95 % intervals. Below the line rewards are surer than they are right; their scale is β.",
            "promised, mean of σ(|m|)", "right");
        figure.Line("as sure as right", [(0.5, 0.5), (1, 1)]);
        foreach (var (run, calibration) in scored)
        {
            figure.Intervals(run.Name, [.. calibration.Bins.Select(bin =>
                (bin.Confidence, bin.Accuracy.Value, bin.Accuracy.Interval.Low, bin.Accuracy.Interval.High))]);
        }
        figures.Add(figure);
        page.Figure(figure);
        foreach (var run in scored.Select(of => of.Run).Where(run => run.Scored.Any(pair => pair.Subset is not null)))
            AddSubsets(page, run, runs.Count > 1);
    }

    private static void AddSubsets(Page page, ReportedRun run, bool isOneOfSeveral)
    {
        page.Heading(isOneOfSeveral ? $"Subsets, {run.Name}" : "Subsets", 3);
        var accuracies = RewardBenchRow.Accuracies(
            run.Scored.Where(pair => pair.Subset is not null).Select(pair => (pair.Subset!, pair.Margin)));
        string[][] Rows(IReadOnlyDictionary<string, Estimate> of) =>
            [.. of.Select(row => (string[])[row.Key, .. Cells(row.Value)])];
        if (Rows(RewardBenchSections.Of(accuracies)) is { Length: > 0 } sections)
        {
            page.Paragraph("RewardBench's sections are its subsets' means, weighted as on its leaderboard.");
            page.Table(["section", "pairs", "accuracy", "95 %"], sections);
        }
        page.Table(["subset", "pairs", "accuracy", "95 %"], Rows(accuracies));
    }

    private static string[] Cells(Estimate accuracy)
    {
        string Text(double share) => share.ToString("0.000", CultureInfo.InvariantCulture);
        return
        [
            accuracy.Count.ToString("N0", CultureInfo.InvariantCulture), Text(accuracy.Value),
            $"{Text(accuracy.Interval.Low)} to {Text(accuracy.Interval.High)}",
        ];
    }
}
