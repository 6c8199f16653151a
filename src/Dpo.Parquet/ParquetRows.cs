using System.Buffers;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace Dpo;

/// <summary>Turns the rows of Parquet files into JSON, so that one code reads them and JSON Lines.</summary>
internal static class ParquetRows
{
    /// <summary>The fields that some form of a row names; other columns, which may be large, are not read.</summary>
    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "prompt", "chosen", "rejected", "score_chosen", "score_rejected", "completions", "ranking", "scores", "completion", "label",
        "info", "summaries", "choice", "input_text", "candidate_0", "candidate_1", "text",
    };

    /// <summary>The rows of the files, one file after the other.</summary>
    public static IEnumerable<JsonRow> Read(IReadOnlyList<string> files) => files.SelectMany(ReadFile);

    private static IEnumerable<JsonRow> ReadFile(string path)
    {
        using var stream = Guard(path, "opened", () => new BoundedReads(File.OpenRead(path)));
        var reader = Guard(path, "read as Parquet", () => Open(stream));
        var columns = Guard(path, "read as Parquet", () => Columns(path, reader.Schema));
        var json = new ArrayBufferWriter<byte>();
        using var writer = new Utf8JsonWriter(json);
        var row = 0L;
        for (var index = 0; index < reader.RowGroupCount; index++)
        {
            var group = reader.RowGroups[index];
            Guard(path, $"read on in its row group {index + 1}", () =>
            {
                foreach (var leaf in columns.SelectMany(column => column.Leaves))
                    leaf.Load(group, stream);
                return true;
            });
            for (var end = row + group.RowCount; row < end;)
            {
                row++;
                Guard(path, $"read on at row {row}", () => Write(columns, json, writer));
                yield return new JsonRow(json.WrittenMemory, path, row);
            }
            if (columns.SelectMany(column => column.Leaves).Any(leaf => !leaf.AtEnd))
                throw new InvalidInputException($"{path}: the file cannot be read on behind row {row} (the row group {index + 1} has entries of further rows); fetch it anew.");
        }
    }

    private static ParquetReader Open(Stream stream)
    {
        ParquetPages.RequireFooter(stream);
        var reader = ParquetReader.CreateAsync(stream).GetAwaiter().GetResult();
        // As bytes, texts keep what is no UTF-8, which Parquet.Net would replace in silence.
        foreach (var element in reader.Metadata!.Schema.Where(element => element.Type == Parquet.Meta.Type.BYTE_ARRAY))
        {
            if (element.LogicalType?.STRING is not null)
                element.LogicalType = null;
            if (element.ConvertedType == Parquet.Meta.ConvertedType.UTF8)
                element.ConvertedType = null;
        }
        return reader;
    }

    private static ParquetColumn[] Columns(string path, ParquetSchema schema) =>
        [.. schema.Fields.Where(field => Known.Contains(field.Name)).Select(field => ParquetColumn.Of(field)
            ?? throw new InvalidInputException($"{path}: the column '{field.Name}' is of a type that is neither text, number, list nor struct; write it as one of these."))];

    private static bool Write(ParquetColumn[] columns, ArrayBufferWriter<byte> json, Utf8JsonWriter writer)
    {
        json.ResetWrittenCount();
        writer.Reset();
        writer.WriteStartObject();
        foreach (var column in columns)
        {
            if (column.Leaves.Any(leaf => leaf.Repetition != 0))
                throw new InvalidDataException($"the column '{column.Name}' has no row that begins there");
            column.WriteMember(writer);
        }
        writer.WriteEndObject();
        writer.Flush();
        return true;
    }

    /// <summary>Whatever a damaged file makes of Parquet.Net, the file is named.</summary>
    private static T Guard<T>(string path, string purpose, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is not InvalidInputException)
        {
            throw new InvalidInputException($"{path}: the file cannot be {purpose} ({e.Message}); give a whole Parquet file.", e);
        }
    }
}
