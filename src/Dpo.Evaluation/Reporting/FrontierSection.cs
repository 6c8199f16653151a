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

        AddHeights(page, frontier);

        static double Finite(double error) => double.IsFinite(error) ? error : 0;
    }

    /// <summary>What the paper says of Figure 2 (left), that DPO's front lies above all others', as numbers with
    /// intervals.</summary>
    private static void AddHeights(Page page, Frontier frontier)
    {
        if (frontier.Methods.FirstOrDefault(method => method.Equals("dpo", StringComparison.OrdinalIgnoreCase)) is not { } dpo)
            return;
        var nearest = frontier.Points.Min(point => point.Kl.Value);
        var least = frontier.Points.Where(point => point.Kl.Value == nearest).Average(point => point.Reward.Value);
        var rows = new List<IReadOnlyList<string>>();
        foreach (var other in frontier.Methods.Where(method => method != dpo))
        {
            // Where both were.
            var mostKl = Math.Min(MostKl(dpo), MostKl(other));
            if (mostKl <= 0 || Seeds(dpo).Intersect(Seeds(other)).Count() < 2)
                continue;
            var above = frontier.HeightOver(dpo, other, mostKl, least);
            rows.Add(
            [
                other, mostKl.ToString("0.00", CultureInfo.InvariantCulture), Text(above, "0.000"),
                string.Create(CultureInfo.InvariantCulture, $"{above.Interval.Low:0.000} to {above.Interval.High:0.000}"),
                Text(above.Count), $"{Count(dpo)} and {Count(other)}",
            ]);
        }
        if (rows.Count == 0)
            return;
        page.Heading($"How far {dpo}'s front is above the others'", 3);
        page.Paragraph(
            "The mean height of a front from KL 0 to where both methods have been, under one seed or another, over the mean " +
            $"reward {Text(least)} of the points of least KL: the difference over pairs of seeds, with a 95 % interval. A " +
            "front goes on level behind its last point, and has no height before its first, so that a method of more points is " +
            "at an advantage. The paper says that the difference is above 0 for every other method; an interval that has 0 in " +
            "it says nothing either way.");
        page.Table(["method", "to KL, nats", "above by", "95 %", "seeds", "points"], rows);

        IEnumerable<FrontierPoint> Of(string method) => frontier.Points.Where(point => point.Method == method);

        double MostKl(string method) => Of(method).Max(point => point.Kl.Value);

        IEnumerable<int> Seeds(string method) => Of(method).Select(point => point.Seed);

        int Count(string method) => Of(method).Count();
    }

    private static string Text(double reward) => reward.ToString("0.000", CultureInfo.InvariantCulture);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Text(Estimate estimate, string format)
    {
        var value = estimate.Value.ToString(format, CultureInfo.InvariantCulture);
        return double.IsFinite(estimate.StandardError)
            ? $"{value} ± {estimate.StandardError.ToString(format, CultureInfo.InvariantCulture)}"
            : value;
    }
}
