namespace Dpo.Evaluation.Measuring;

/// <summary>Pairs whose label a model disputes as a file: JSON Lines, a pair a line.</summary>
public static class DisputedFile
{
    private static readonly JsonLinesOf<DisputedPair> lines = new("disputed pair", "report without the file");

    /// <summary>Writes pairs into a file that appears whole or not at all and outlives a power cut.</summary>
    /// <param name="path">The file; its folder must be there. One that is there is replaced.</param>
    /// <param name="pairs">The pairs, the most disputed first; a report shows the first ones.</param>
    public static void Write(string path, IEnumerable<DisputedPair> pairs) => JsonLinesOf<DisputedPair>.Write(path, pairs);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no such pair.</exception>
    public static IReadOnlyList<DisputedPair> Read(string path) => lines.Read(path);
}
