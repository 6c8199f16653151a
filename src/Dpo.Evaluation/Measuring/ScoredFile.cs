namespace Dpo.Evaluation.Measuring;

/// <summary>Scored pairs as a file: JSON Lines, a pair a line, of which a report makes accuracies and a calibration.</summary>
public static class ScoredFile
{
    private static readonly JsonLinesOf<ScoredPair> lines = new("scored pair", "score the data again");

    /// <summary>Writes pairs into a file that appears whole or not at all and outlives a power cut.</summary>
    /// <param name="path">The file; its folder must be there. One that is there is replaced.</param>
    /// <param name="pairs">The pairs.</param>
    public static void Write(string path, IEnumerable<ScoredPair> pairs) => JsonLinesOf<ScoredPair>.Write(path, pairs);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no such pair.</exception>
    public static IReadOnlyList<ScoredPair> Read(string path) => lines.Read(path);
}
