using Dpo.Evaluation.Statistics;
using Dpo.Files;
using Dpo.Training.Metrics;

namespace Dpo.Evaluation.Measuring;

/// <summary>Points of a frontier as a file: JSON Lines, a point a line, to be read again, or a table as CSV for spreadsheets and
/// data frames.</summary>
public static class FrontierFile
{
    private static readonly JsonLinesOf<FrontierPoint> lines = new("point of a frontier", "measure the run again");

    /// <summary>Writes points as JSON Lines, into a file that appears whole or not at all and outlives a power cut.</summary>
    /// <param name="path">The file; its folder must be there. One that is there is replaced.</param>
    /// <param name="points">The points.</param>
    public static void Write(string path, IEnumerable<FrontierPoint> points) =>
        JsonLinesOf<FrontierPoint>.Write(path, points);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no point.</exception>
    public static IReadOnlyList<FrontierPoint> Read(string path) => lines.Read(path);

    /// <summary>Writes points as a table: run, method, seed, step; value, standard error, ends of the interval and observations
    /// of reward and KL; and whether the point is on its method's front.</summary>
    /// <param name="path">The file, as for <see cref="Write"/>.</param>
    /// <param name="frontier">The points.</param>
    public static void WriteCsv(string path, Frontier frontier)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(frontier);
        var fronts = frontier.Methods.SelectMany(frontier.Front).ToHashSet<FrontierPoint>(ReferenceEqualityComparer.Instance);
        AtomicFile.Write(path, stream =>
        {
            using var writer = new StreamWriter(stream, leaveOpen: true);
            writer.Write(Csv.Line(["run", "method", "seed", "step", .. Names("reward"), .. Names("kl"), "on_front"]));
            foreach (var point in frontier.Points)
            {
                writer.Write(Csv.Line(
                [
                    Csv.Field(point.Run), Csv.Field(point.Method), Csv.Field(point.Seed), Csv.Field(point.Step),
                    .. Fields(point.Reward), .. Fields(point.Kl), fronts.Contains(point) ? "1" : "0",
                ]));
            }
        });

        static IEnumerable<string> Names(string of) => [of, $"{of}_standard_error", $"{of}_low", $"{of}_high", $"{of}_count"];

        static IEnumerable<string> Fields(Estimate of) =>
        [
            Csv.Field(of.Value), Csv.Field(of.StandardError), Csv.Field(of.Interval.Low), Csv.Field(of.Interval.High),
            Csv.Field(of.Count),
        ];
    }
}
