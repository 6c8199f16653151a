namespace Dpo;

/// <summary>
/// Reads JSON Lines of <c>{"prompt": …, "chosen": …, "rejected": …}</c>, the plainest format of preference data.
/// </summary>
/// <remarks>
/// The texts are taken as they stand, so a space between prompt and completion belongs to the completions. Other fields are
/// ignored. Bad rows: malformed JSON or UTF-8, a field missing or not a text, a completion of nothing but white space, and
/// completions that are identical.
/// </remarks>
public static class PreferenceJsonLines
{
    /// <summary>Reads the examples one by one; no more than a line is held in memory.</summary>
    /// <param name="path">The file, UTF-8; one named <c>.gz</c> is decompressed.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <exception cref="InvalidInputException">While reading: the file cannot be read, a line exceeds 64 MiB, or a bad row is
    /// refused.</exception>
    public static IEnumerable<PreferenceExample> Read(string path, DataReport report, BadRows badRows = BadRows.Skip) =>
        JsonRows.Read(path, report, badRows, (row, source) =>
            JsonRows.Comparison(row.Text("prompt"), row.Text("chosen"), row.Text("rejected"), source));
}
