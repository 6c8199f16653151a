using System.Text.Json;
using System.Text.Unicode;
using Dpo.Files;

namespace Dpo.Data;

/// <summary>Reads rows that are JSON objects, counting the bad ones; every such format is read through here.</summary>
internal static class JsonRows
{
    /// <summary>The rows of a file: its lines that are not blank, or the items of the array that it is; <c>.gz</c> is
    /// decompressed.</summary>
    public static IEnumerable<JsonRow> Of(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Rows(path);
    }

    private static IEnumerable<JsonRow> Rows(string path)
    {
        using var window = new FileWindow(path);
        FileKind.RequireJson(window);
        if (JsonArrayReader.Begins(window))
        {
            var items = new JsonArrayReader(window);
            while (items.Next())
                yield return new JsonRow(items.Item, path, items.Number);
            yield break;
        }
        var lines = new LineReader(window);
        byte[]? first = null;
        int? comma = null; // the line of the first row, where it ends with one
        while (lines.Next())
        {
            if (lines.Line.Span.IndexOfAnyExcept(" \t"u8) < 0)
                continue;
            // Whether the first row was cut off, or goes over several lines, shows in the second.
            if (first is { Length: > 0 } && IsOpen([.. first, (byte)'\n', .. lines.Line.Span]) is not null)
            {
                throw new InvalidInputException(
                    $"{path}:{lines.Number}: the line goes on with the row in front of it; give one JSON object a line, or one " +
                    "array of objects.");
            }
            if (comma is { } at && lines.Line.Span.TrimStart(" \t"u8) is [(byte)'{', ..])
            {
                throw new InvalidInputException(
                    $"{path}:{at}: the row ends with a comma, as in an array without its brackets; put [ and ] around the " +
                    "rows, or leave the commas out.");
            }
            comma = first is null && lines.Line.Span.TrimEnd(" \t"u8) is [.., (byte)'}', (byte)','] ? lines.Number : null;
            first = first is null && IsOpen(lines.Line.Span) == true ? lines.Line.ToArray() : [];
            yield return new JsonRow(lines.Line, path, lines.Number);
        }
    }

    /// <summary>Reads rows.</summary>
    /// <param name="rows">The rows, whatever file they come from.</param>
    /// <param name="columns">Under which names they have their fields.</param>
    /// <param name="report">Counts rows and reasons, once however often the rows are gone through.</param>
    /// <param name="badRows">What to do with a row that <paramref name="parse"/> refuses.</param>
    /// <param name="parse">Makes a value of a row, or throws <see cref="BadRowException"/>; the mark is the row's.</param>
    public static IEnumerable<T> Read<T>(
        IEnumerable<JsonRow> rows, ColumnNames columns, DataReport report, BadRows badRows, Func<DataRow, RowMark, T> parse)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(report);
        return Read(rows, columns, report, badRows, parse, new object());
    }

    private static IEnumerable<T> Read<T>(
        IEnumerable<JsonRow> rows, ColumnNames columns, DataReport report, BadRows badRows, Func<DataRow, RowMark, T> parse,
        object reading)
        where T : class
    {
        var seen = new SeenColumns(columns, report);
        var index = 0L;
        foreach (var row in rows)
        {
            var mark = new RowMark(reading, index++);
            var isFirst = report.CountRow(mark);
            T? value = null;
            try
            {
                value = Parse(row.Json, root =>
                {
                    seen.Find(row.Path, root);
                    var parsed = parse(new DataRow(root, columns, row), mark);
                    seen.NoteIgnored(root, mark.Index);
                    return parsed;
                });
            }
            catch (BadRowException e)
            {
                Drop(report, badRows, isFirst, e.Message, row.Source, row.Place);
            }
            if (value is not null)
                yield return value;
        }
        seen.RequireNamed();
    }

    /// <summary>Parses one row, or throws <see cref="BadRowException"/> whatever the bytes are.</summary>
    private static T Parse<T>(ReadOnlyMemory<byte> row, Func<JsonElement, T> parse)
    {
        if (!Utf8.IsValid(row.Span))
            throw new BadRowException("invalid UTF-8");
        try
        {
            using var document = JsonDocument.Parse(row, StrictJson.Options);
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

    /// <summary>Counts a bad row where it is read for the first time, or refuses it.</summary>
    public static void Drop(DataReport report, BadRows badRows, bool isFirst, string reason, string source, string place)
    {
        if (badRows == BadRows.Refuse)
            throw new InvalidInputException($"{place}: {reason}; correct the row, or let bad rows be skipped.");
        if (isFirst)
            report.Drop(reason, source);
    }

    /// <summary>The value of a field that is there and not null.</summary>
    public static bool TryField(this JsonElement row, string name, out JsonElement value)
    {
        value = default;
        return row.ValueKind == JsonValueKind.Object && row.TryGetProperty(name, out value)
            && value.ValueKind != JsonValueKind.Null;
    }

    /// <summary>The text of a field; a field that is missing or no text makes a bad row.</summary>
    public static string Text(this JsonElement row, string name)
    {
        if (!row.TryField(name, out var value))
            throw new BadRowException($"no field '{name}'");
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new BadRowException($"'{name}' is not a text");
    }

    /// <summary>What a value says that is true or false in any spelling: as such, as 1 or 0, or as a text of these; null where it
    /// is none.</summary>
    public static bool? Flag(this JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number when value.TryGetDouble(out var number) => number == 1 ? true : number == 0 ? false : null,
        JsonValueKind.String => value.GetString()!.Trim().ToUpperInvariant() switch
        {
            "TRUE" or "1" or "1.0" => true,
            "FALSE" or "0" or "0.0" => false,
            _ => null,
        },
        _ => null,
    };

    /// <summary>The example of a comparison, unless it has nothing to train on.</summary>
    public static PreferenceExample Comparison(string prompt, string chosen, string rejected, string source)
    {
        if (string.IsNullOrWhiteSpace(chosen) || string.IsNullOrWhiteSpace(rejected))
            throw new BadRowException("empty completion");
        if (chosen == rejected)
            throw new BadRowException("identical completions");
        return new PreferenceExample(prompt, chosen, rejected) { Source = source };
    }

    /// <summary>Whether a JSON object goes on behind a text; null where the text is none, as far as it goes.</summary>
    private static bool? IsOpen(ReadOnlySpan<byte> text)
    {
        try
        {
            var reader = new Utf8JsonReader(text, isFinalBlock: false, default);
            while (reader.Read())
            {
            }
            return reader.BytesConsumed > 0 && !(reader.TokenType == JsonTokenType.EndObject && reader.CurrentDepth == 0);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
