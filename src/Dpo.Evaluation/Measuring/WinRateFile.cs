namespace Dpo.Evaluation.Measuring;

/// <summary>Win rates as a file of JSON Lines, a point a line: <c>win-rates.jsonl</c>.</summary>
public static class WinRateFile
{
    private static readonly JsonLinesOf<WinRatePoint> lines = new("win rate", "measure it again", Fault);

    /// <summary>Writes points, into a file that appears whole or not at all and outlives a power cut.</summary>
    /// <param name="path">The file; its folder must be there. One that is there is replaced.</param>
    /// <param name="points">The points.</param>
    public static void Write(string path, IEnumerable<WinRatePoint> points) =>
        JsonLinesOf<WinRatePoint>.Write(path, points);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no point: a field is missing, unknown or outside
    /// its range.</exception>
    public static IReadOnlyList<WinRatePoint> Read(string path) => lines.Read(path);

    private static string? Fault(WinRatePoint point) => point switch
    {
        { Wins: < 0 } or { Ties: < 0 } or { Losses: < 0 } or { Unparsed: < 0 } or { Step: < 0 } => "A count is below 0.",
        { BestOf: < 1 } => "The best is one of 1 or more.",
        { Temperature: not (>= 0 and < double.PositiveInfinity) } => "The temperature is no finite number of at least 0.",
        _ => null,
    };
}
