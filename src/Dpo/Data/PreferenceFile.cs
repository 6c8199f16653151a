using System.Text.Json;

namespace Dpo.Data;

/// <summary>Reads a file of preferences in any of the formats the library knows, told apart by the fields of its first
/// row.</summary>
public static class PreferenceFile
{
    /// <summary>Reads a file of preferences.</summary>
    /// <remarks>
    /// <list type="bullet">
    /// <item><c>prompt</c>, or a column that is known to hold it: <see cref="PreferenceJsonLines"/>;</item>
    /// <item><c>chosen</c> and <c>rejected</c> without a prompt, texts with an <c>"\n\nAssistant:"</c> turn:
    /// <see cref="HelpfulHarmlessTranscripts"/>, grouped by prompt;</item>
    /// <item><c>chosen</c> otherwise: <see cref="PreferenceJsonLines"/>, with the prompt that both have in common;</item>
    /// <item><c>summaries</c>, <c>info</c> or <c>input_text</c>: <see cref="SummaryComparisons"/>.</item>
    /// </list>
    /// Where bad rows are skipped, the first row that is not bad in every form decides. The format is decided before this method
    /// returns; the rows are read as the result is enumerated, and anew each time.
    /// </remarks>
    /// <param name="path">The file, UTF-8: one JSON object a line, or one JSON array of objects; one named <c>.gz</c> is
    /// decompressed.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <param name="columns">Under which names the file has fields, where it has them under others; see
    /// <see cref="PreferenceJsonLines"/>.</param>
    /// <exception cref="InvalidInputException">The file cannot be read, is in no known format, <paramref name="columns"/> names a
    /// field that no form has, or a column that has nothing in any row (seen at the end of the file), or a bad row is
    /// refused.</exception>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null) =>
        Read(path, JsonRows.Of(path), ColumnNames.OfPreferences(columns), report, badRows);

    /// <summary>Reads rows of a file or several, which are gone through twice.</summary>
    internal static IEnumerable<PreferenceExample> Read(
        string path, IEnumerable<JsonRow> rows, ColumnNames columns, DataReport report, BadRows badRows)
    {
        ArgumentNullException.ThrowIfNull(report);
        var first = new DataReport();
        var format = JsonRows.Read(rows, columns, first, badRows, (row, _) => FormatOf(row, badRows)).FirstOrDefault()
            ?? throw new InvalidInputException(
                $"{path}: there is no row that can be read{(first.Read > 0 ? $" ({first})" : "")}; {Formats}");
        var examples = JsonRows.Read(rows, columns, report, badRows, format.Parse);
        return format.Grouped ? examples.GroupByPrompt() : examples;
    }

    private const string Formats =
        "give rows with 'prompt', 'chosen' and 'rejected' (texts or lists of messages; where 'prompt' is missing, it is what " +
        "both have in common), with 'prompt', 'completions' and 'ranking' or 'scores', or with 'prompt', 'completion' and " +
        "'label'; HH transcripts with 'chosen' and 'rejected'; or summary comparisons with 'info', 'summaries' and 'choice' or " +
        "with 'input_text', 'candidate_0', 'candidate_1' and 'choice'.";

    private static Format FormatOf(DataRow row, BadRows badRows)
    {
        var prompt = row.Prompt;
        bool IsTranscript(string name) => row.TryGet(name, out var text) && text.ValueKind == JsonValueKind.String
            && text.GetString()!.Contains(HelpfulHarmlessTranscripts.AssistantTurn, StringComparison.Ordinal);
        // Either of them, so that a bad row does not have the good ones read as something else.
        if (prompt is not { IsStated: true } && (IsTranscript("chosen") || IsTranscript("rejected")))
            return new Format(HelpfulHarmlessTranscripts.Parse, Grouped: true);
        if (prompt is null && row.TryGet("chosen", out var chosen)
            && chosen.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            throw new BadRowException("'chosen' is not a text");
        if (prompt is { IsStated: true } || row.Has("chosen") || row.Has("completion") || row.Has("completions"))
            return new Format(PreferenceJsonLines.Parse);
        if (row.Has("summaries") || row.Has("info") || row.Has("input_text"))
            return new Format(SummaryComparisons.Parse);
        const string unknown = "the row has none of the fields of a known format";
        throw badRows == BadRows.Refuse
            ? new InvalidInputException($"{row.Origin.Place}: {unknown}; {Formats}")
            : new BadRowException(unknown);
    }

    private sealed record Format(Func<DataRow, RowMark, PreferenceExample> Parse, bool Grouped = false);
}
