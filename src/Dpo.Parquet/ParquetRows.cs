using System.Buffers;
using System.Text.Json;
using System.Text.RegularExpressions;
using Dpo.Data;
using Dpo.Files;
using ParquetSharp;

namespace Dpo.Parquet;

/// <summary>Turns the rows of Parquet files into JSON, so that one code reads them and JSON Lines.</summary>
internal static partial class ParquetRows
{
    /// <summary>Values that are the same take next to nothing in the file. What its rows hold is bounded as gzip bounds what it
    /// compresses, a thousandfold, so that a few bytes do not make work for days.</summary>
    private const long Expansion = 1000;

    /// <summary>Pages of usual writers take a few megabytes; those of all columns in memory take no more than this, or a
    /// hundredfold of the file.</summary>
    private const long MostMemory = 256 << 20;

    /// <summary>The rows of the files, one file after the other.</summary>
    /// <param name="files">The files.</param>
    /// <param name="names">Which columns are read; others may be large.</param>
    /// <param name="report">Is told of those others.</param>
    public static IEnumerable<JsonRow> Read(IReadOnlyList<string> files, ColumnNames names, DataReport report) =>
        files.SelectMany(path => ReadFile(path, names, report));

    private static IEnumerable<JsonRow> ReadFile(string path, ColumnNames names, DataReport report)
    {
        using var stream = RegularFile.OpenRead(path);
        using var reader = Guard(path, "read as Parquet", () => ParquetFileOpening.Open(stream));
        var columns = Guard(path, "read as Parquet", () => Columns(path, reader.FileMetaData.Schema, names, report));
        ParquetLeaf[] leaves = [.. columns.SelectMany(column => column.Leaves)];
        using var closing = new Closing(leaves);
        var memory = ParquetLeaf.MemoryInUse;
        var json = new ArrayBufferWriter<byte>();
        using var writer = new Utf8JsonWriter(json);
        var (row, written) = (0L, 0L);
        for (var index = 0; index < reader.FileMetaData.NumRowGroups; index++)
        {
            var at = index;
            using var group = Guard(path, $"read on in its row group {index + 1}", () => reader.RowGroup(at));
            Guard(path, $"read on in its row group {index + 1}", () =>
            {
                foreach (var leaf in leaves)
                    leaf.Begin(group, memory, Math.Max(MostMemory, 100 * stream.Length));
                return true;
            });
            for (var end = row + group.MetaData.NumRows; row < end;)
            {
                row++;
                Guard(path, $"read on at row {row}", () => Write(columns, json, writer));
                written += json.WrittenCount;
                RequireBounded(path, row, written, stream.Length);
                yield return new JsonRow(json.WrittenMemory, path, row);
            }
            if (leaves.Any(leaf => !leaf.AtEnd))
            {
                throw new InvalidInputException(
                    $"{path}: the file cannot be read on behind row {row} (the row group {index + 1} has entries of further " +
                    "rows); fetch it anew.");
            }
        }
    }

    private static void RequireBounded(string path, long row, long written, long fileLength)
    {
        if (written > Math.Max(FileWindow.LongestRow, Expansion * fileLength))
        {
            throw new InvalidInputException(
                $"{path}: the file cannot be read on behind row {row} (its rows hold more than {Expansion:N0} times as " +
                "much as its bytes); write it as JSON Lines.");
        }
    }

    private static ParquetColumn[] Columns(string path, SchemaDescriptor schema, ColumnNames names, DataReport report)
    {
        var fields = schema.GroupNode.Fields.ToLookup(field => field.Name, StringComparer.Ordinal);
        string[] present = [.. fields.Select(field => field.Key)];
        names.RequireIn(path, present);
        report.Ignore(names.Ignored(present).Where(StrayPrompt.MayBe));
        var columns = new List<ParquetColumn>();
        foreach (var name in names.Among(present))
        {
            if (ParquetColumn.Of(fields[name].First(), schema) is { } column)
                columns.Add(column);
            else if (names.IsField(name))
            {
                throw new InvalidInputException(
                    $"{path}: the column '{name}' is of a type that is neither text, number, list nor struct; write it as one " +
                    "of these.");
            }
        }
        return [.. columns];
    }

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

    /// <summary>Whatever a damaged file makes of Arrow, the file is named.</summary>
    private static T Guard<T>(string path, string purpose, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is not InvalidInputException)
        {
            var reason = ArrowMessage().Match(e.Message) is { Success: true } message
                ? message.Groups["text"].Value.Trim()
                : e.Message;
            throw new InvalidInputException($"{path}: the file cannot be {purpose} ({reason}); give a whole Parquet file.", e);
        }
    }

    /// <summary>What Arrow says is wrapped in the name of its exception.</summary>
    [GeneratedRegex(@"^\w+ \(message: '(Invalid: )?(?<text>[^\n]*?)'?\s*(\)|\n|$)", RegexOptions.CultureInvariant)]
    private static partial Regex ArrowMessage();

    private sealed class Closing(ParquetLeaf[] leaves) : IDisposable
    {
        public void Dispose()
        {
            foreach (var leaf in leaves)
                leaf.Dispose();
        }
    }
}
