using System.Text.Json;
using System.Text.Unicode;

namespace Dpo;

/// <summary>Reads rows that are JSON objects, counting the bad ones; every such format is read through here.</summary>
internal static class JsonRows
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>The lines of a file that are not blank; <c>.gz</c> is decompressed.</summary>
    public static IEnumerable<JsonRow> Lines(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        using var lines = new LineReader(path);
        while (lines.Next())
        {
            if (lines.Line.Span.IndexOfAnyExcept(" \t"u8) >= 0)
                yield return new JsonRow(lines.Line, path, lines.Number);
        }
    }

    /// <summary>Reads rows.</summary>
    /// <param name="rows">The rows, whatever file they come from.</param>
    /// <param name="report">Counts rows and reasons.</param>
    /// <param name="badRows">What to do with a row that <paramref name="parse"/> refuses.</param>
    /// <param name="parse">Makes a value of a row, or throws <see cref="BadRowException"/>.</param>
    public static IEnumerable<T> Read<T>(IEnumerable<JsonRow> rows, DataReport report, BadRows badRows, Func<JsonElement, JsonRow, T> parse)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(report);
        foreach (var row in rows)
        {
            report.CountRead();
            T? value = null;
            try
            {
                value = Parse(row.Json, root => parse(root, row));
            }
            catch (BadRowException e)
            {
                Drop(report, badRows, e.Message, row.Source, row.Place);
            }
            if (value is not null)
                yield return value;
        }
    }

    /// <summary>Parses one line, or throws <see cref="BadRowException"/> whatever the bytes are.</summary>
    public static T Parse<T>(ReadOnlyMemory<byte> line, Func<JsonElement, T> parse)
    {
        if (!Utf8.IsValid(line.Span))
            throw new BadRowException("invalid UTF-8");
        try
        {
            using var document = JsonDocument.Parse(line, Strict);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new BadRowException("not a JSON object");
            return parse(document.RootElement);
        }
        // A string that escapes half a surrogate pair is an InvalidOperationException.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new BadRowException("malformed JSON");
        }
    }

    /// <summary>Counts a bad row, or refuses it.</summary>
    public static void Drop(DataReport report, BadRows badRows, string reason, string source, string place)
    {
        if (badRows == BadRows.Refuse)
            throw new InvalidInputException($"{place}: {reason}; correct the row, or let bad rows be skipped.");
        report.Drop(reason, source);
    }

    /// <summary>The text of a field; a field that is missing or no text makes a bad row.</summary>
    public static string Text(this JsonElement row, string name)
    {
        if (row.ValueKind != JsonValueKind.Object || !row.TryGetProperty(name, out var value))
            throw new BadRowException($"no field '{name}'");
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new BadRowException($"'{name}' is not a text");
    }

    /// <summary>The example of a comparison, unless it has nothing to train on.</summary>
    public static PreferenceExample Comparison(string prompt, string chosen, string rejected, string source)
    {
        if (string.IsNullOrWhiteSpace(chosen) || string.IsNullOrWhiteSpace(rejected))
            throw new BadRowException("empty completion");
        if (chosen == rejected)
            throw new BadRowException("identical completions");
        return new PreferenceExample(prompt, chosen, rejected) { Source = source };
    }
}
