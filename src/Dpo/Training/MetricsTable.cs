using System.Globalization;
using System.Text;

namespace Dpo;

/// <summary>
/// Writes <c>metrics.csv</c>: a row per optimizer step and a column per metric, for spreadsheets and data frames. As in
/// <c>metrics.jsonl</c> there is nothing of time in it, so that two equal runs write equal bytes.
/// </summary>
/// <remarks>
/// RFC 4180: commas, lines that end in CR LF, fields in quotes where they need them. Numbers are written so that they read back
/// to the bit, with a point in any culture; what a step did not measure is an empty field. A metric that first appears later,
/// as those of an evaluation do, becomes the last column; the file is then written anew, whole or not at all.
/// </remarks>
public sealed class MetricsTable : IProgress<TrainingMetrics>, IDisposable
{
    private const string LineEnd = "\r\n";

    private readonly string path;
    private readonly List<string> columns = ["step"];
    private readonly List<IReadOnlyDictionary<string, double>> rows = [];
    private StreamWriter writer;

    /// <summary>Starts the file in <paramref name="folder"/>, which is made where it is missing; an older one is replaced.</summary>
    public MetricsTable(string folder)
    {
        Directory.CreateDirectory(folder);
        path = Path.Combine(folder, "metrics.csv");
        writer = new StreamWriter(path) { AutoFlush = true };
    }

    /// <summary>Appends a step; it is in the file when the call returns.</summary>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var row = new Dictionary<string, double>(value.Values) { ["step"] = value.Step };
        rows.Add(row);
        string[] added = [.. value.Values.Keys.Except(columns)];
        if (added.Length == 0)
        {
            writer.Write(Line(row));
            return;
        }
        columns.AddRange(added);
        writer.Dispose();
        AtomicFile.Write(path, stream =>
        {
            using var whole = new StreamWriter(stream, leaveOpen: true);
            whole.Write(string.Join(',', columns.Select(Field)) + LineEnd);
            foreach (var earlier in rows)
                whole.Write(Line(earlier));
        });
        writer = new StreamWriter(path, append: true) { AutoFlush = true };
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => writer.Dispose();

    private string Line(IReadOnlyDictionary<string, double> row) => string.Join(',', columns.Select(column =>
        row.TryGetValue(column, out var value) ? value.ToString("r", CultureInfo.InvariantCulture) : "")) + LineEnd;

    private static string Field(string text) => text.AsSpan().ContainsAny(",\"\r\n")
        ? new StringBuilder(text).Replace("\"", "\"\"").Insert(0, '"').Append('"').ToString()
        : text;
}
