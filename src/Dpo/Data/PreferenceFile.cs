using System.Text.Json;

namespace Dpo;

/// <summary>Reads a file of preferences in any of the formats the library knows, told apart by the fields of its first
/// row.</summary>
public static class PreferenceFile
{
    private delegate IEnumerable<PreferenceExample> Reader(string path, DataReport report, BadRows badRows);

    /// <summary>Reads a file of preferences.</summary>
    /// <remarks>
    /// <list type="bullet">
    /// <item><c>prompt</c>: <see cref="PreferenceJsonLines"/>;</item>
    /// <item><c>chosen</c> without a prompt, a text with an <c>"\n\nAssistant:"</c> turn: <see cref="HelpfulHarmlessTranscripts"/>, grouped
    /// by prompt;</item>
    /// <item><c>chosen</c> otherwise: <see cref="PreferenceJsonLines"/>, with the prompt that both have in common;</item>
    /// <item><c>summaries</c>, <c>info</c> or <c>input_text</c>: <see cref="SummaryComparisons"/>.</item>
    /// </list>
    /// Where bad rows are skipped, the first row that is a JSON object decides. The format is decided before this method
    /// returns; the rows are read as the result is enumerated.
    /// </remarks>
    /// <param name="path">The file, UTF-8, one JSON object a line; one named <c>.gz</c> is decompressed.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <exception cref="InvalidInputException">The file cannot be read, is in no known format, or a bad row is
    /// refused.</exception>
    public static IEnumerable<PreferenceExample> Read(string path, DataReport report, BadRows badRows = BadRows.Skip)
    {
        ArgumentNullException.ThrowIfNull(report);
        var format = JsonRows.Read(path, new DataReport(), badRows, (row, source) => Format(path, row, source)).FirstOrDefault();
        return format is null
            ? throw new InvalidInputException($"{path}: the file holds no row of JSON; {Formats}")
            : format(path, report, badRows);
    }

    private const string Formats =
        "give JSON Lines with 'prompt', 'chosen' and 'rejected' (texts or lists of messages), HH transcripts with 'chosen' and 'rejected', or summary " +
        "comparisons with 'info', 'summaries' and 'choice' or with 'input_text', 'candidate_0', 'candidate_1' and 'choice'.";

    private static Reader Format(string path, JsonElement row, string source)
    {
        bool Has(string name) => row.TryGetProperty(name, out _);
        if (Has("prompt"))
            return PreferenceJsonLines.Read;
        if (row.TryGetProperty("chosen", out var chosen)
            && !(chosen.ValueKind == JsonValueKind.String && chosen.GetString()!.Contains(HelpfulHarmlessTranscripts.AssistantTurn, StringComparison.Ordinal)))
        {
            return PreferenceJsonLines.Read;
        }
        if (Has("chosen"))
            return (file, report, badRows) => HelpfulHarmlessTranscripts.Read(file, report, badRows).GroupByPrompt();
        if (Has("summaries") || Has("info") || Has("input_text"))
            return SummaryComparisons.Read;
        var line = source[source.LastIndexOf(':')..];
        throw new InvalidInputException($"{path}{line}: the row has none of the fields of a known format; {Formats}");
    }
}
