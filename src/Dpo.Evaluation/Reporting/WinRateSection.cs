using System.Globalization;
using Dpo.Evaluation.Measuring;

namespace Dpo.Evaluation.Reporting;

/// <summary>The part of a report that shows win rates: over temperatures, over training, over N of best-of-N, and a
/// table.</summary>
internal static class WinRateSection
{
    /// <summary>What the names of its figures begin with.</summary>
    public const string FigureNames = "win-rates";

    /// <summary>Adds it; without points nothing, and a line of what was left out.</summary>
    public static void Add(
        Page page, List<Figure> figures, IReadOnlyList<WinRatePoint> points, ICollection<string> leftOut)
    {
        if (points.Count == 0)
        {
            if (!leftOut.Any(line => line.StartsWith("Win rates", StringComparison.Ordinal))) // the run knows why
                leftOut.Add($"Win rates: there is no {RunReport.WinRatesName}.");
            return;
        }
        page.Heading("Win rates");
        page.Paragraph(
            "A win rate is the share of comparisons that a model's completions win, ties counted as half: at one half, the " +
            "dashed line, both sides are as good. Bars and intervals are Wilson's of 95 %. " +
            $"The judge: {string.Join("; ", points.Select(point => point.Judge).Distinct())}.");
        // A figure for each kind of comparison: its prompts, and what completions are compared with.
        foreach (var (index, kind) in points.GroupBy(point => (point.Prompts, point.Against)).Index())
        {
            var (title, name) = ($"{Capital(kind.Key.Prompts)} against {kind.Key.Against}", $"{FigureNames}-{index + 1}");
            page.Heading(title, 3);
            // Of a run its last step.
            WinRatePoint[] last =
            [
                .. kind.GroupBy(point => (point.Run, point.Seed))
                    .SelectMany(run => run.Where(point => point.Step == run.Max(each => each.Step))),
            ];
            Draw(new Figure(
                $"{name}-temperature", $"{title}: the win rate over the temperature of sampling.", "temperature", "win rate"),
                last.Where(point => point.BestOf is null || point.BestOf == last.Max(each => each.BestOf)),
                Series, point => point.Temperature);
            Draw(new Figure(
                $"{name}-step", $"{title}: the win rate over training.", "step", "win rate"),
                kind.GroupBy(point => (point.Run, point.Seed, point.Temperature, point.BestOf))
                    .Where(course => course.DistinctBy(point => point.Step).Count() > 1).SelectMany(course => course),
                point => $"{Series(point)}, temperature {Number(point.Temperature, "0.##")}", point => point.Step);
            Draw(new Figure(
                $"{name}-best-of", $"{title}: the win rate of the best of N by a reward, over N.", "N", "win rate")
            { IsInDoublings = true },
                last.Where(point => point.BestOf is not null),
                point => $"best of N, temperature {Number(point.Temperature, "0.##")}", point => point.BestOf!.Value);
            page.Table(
                ["method", "temperature", "step", "win rate", "95 %", "wins", "ties", "losses", "no verdict", "at equal lengths"],
                [.. last.Select(point => (string[])[Told(Series(point), point), .. Numbers(point)])]);
        }

        void Draw(
            Figure figure, IEnumerable<WinRatePoint> drawn, Func<WinRatePoint, string> series, Func<WinRatePoint, double> across)
        {
            foreach (var line in drawn.Where(point => point.Rate is not null).GroupBy(point => Told(series(point), point)))
                figure.Intervals(
                    line.Key,
                    [.. line.OrderBy(across).Select(point => (point, rate: point.Rate!)).Select(of =>
                        (across(of.point), of.rate.Value, of.rate.Interval.Low, of.rate.Interval.High))]);
            if (figure.IsEmpty)
            {
                figure.Dispose();
                return;
            }
            figure.Level(0.5);
            figures.Add(figure);
            page.Figure(figure);
        }

        // Runs of one method are lines of their own.
        string Told(string series, WinRatePoint point) =>
            points.Where(other => other.Method == point.Method).Select(other => (other.Run, other.Seed)).Distinct().Count() > 1
                ? $"{series} ({point.Run}, seed {point.Seed.ToString(CultureInfo.InvariantCulture)})"
                : series;
    }

    private static string Series(WinRatePoint point) =>
        point.BestOf is { } n ? $"{point.Method}, N = {n.ToString(CultureInfo.InvariantCulture)}" : point.Method;

    private static string[] Numbers(WinRatePoint point) =>
    [
        Number(point.Temperature, "0.##"), Number(point.Step), Number(point.Rate?.Value),
        point.Rate is { } rate ? $"{Number(rate.Interval.Low)} to {Number(rate.Interval.High)}" : "",
        Number(point.Wins), Number(point.Ties), Number(point.Losses), Number(point.Unparsed),
        point.LengthControlled is { } controlled
            ? $"{Number(controlled.Value)} ({Number(controlled.Interval.Low)} to {Number(controlled.Interval.High)})"
            : "",
    ];

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Number(double? number, string format = "0.000") =>
        number?.ToString(format, CultureInfo.InvariantCulture) ?? "";

    private static string Capital(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..];
}
