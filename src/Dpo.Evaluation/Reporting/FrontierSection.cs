using System.Globalization;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Reporting;

/// <summary>Expected reward over KL: every measurement of all runs, and a table of the last ones.</summary>
internal static class FrontierSection
{
    /// <summary>The figure's name.</summary>
    public const string FigureName = "frontier";

    /// <summary>Adds it, or says why it is not there.</summary>
    public static void Add(Page page, List<Figure> figures, IReadOnlyList<ReportedRun> runs, List<string> leftOut)
    {
        FrontierPoint[] points = [.. runs.SelectMany(run => run.Points)];
        if (points.Length == 0)
        {
            leftOut.Add($"Reward over KL: there is no {RunReport.FrontierName}.");
            return;
        }
        page.Heading("Reward and KL");
        var frontier = new Frontier(points);
        var figure = new Figure(
            FigureName,
            "Expected reward against KL(π‖π_ref) of whole completions: a point a measurement with its standard errors, and " +
            "each method's front.",
            "KL(π‖π_ref), nats", "reward");
        foreach (var method in frontier.Methods)
        {
            figure.Points(
                method,
                [.. points.Where(point => point.Method == method).Select(point =>
                    (point.Kl.Value, point.Reward.Value, Finite(point.Kl.StandardError), Finite(point.Reward.StandardError)))],
                [.. frontier.Front(method).Select(point => (point.Kl.Value, point.Reward.Value))]);
        }
        figures.Add(figure);
        page.Figure(figure);
        page.Paragraph("What every run had reached at its last measurement; ± is a standard error.");
        page.Table(
            ["run", "seed", "step", "reward", "KL, nats"],
            [
                .. points.GroupBy(point => (point.Run, point.Seed)).Select(run => run.MaxBy(point => point.Step)!)
                    .Select(last => (string[])
                    [
                        last.Run, Text(last.Seed), Text(last.Step), Text(last.Reward, "0.000"), Text(last.Kl, "0.00"),
                    ]),
            ]);

        static double Finite(double error) => double.IsFinite(error) ? error : 0;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Text(Estimate estimate, string format)
    {
        var value = estimate.Value.ToString(format, CultureInfo.InvariantCulture);
        return double.IsFinite(estimate.StandardError)
            ? $"{value} ± {estimate.StandardError.ToString(format, CultureInfo.InvariantCulture)}"
            : value;
    }
}
