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

    /// <summary>Starts the file in <paramref name="folder"/>, which is made where it is missing; an older one is replaced, or gone
    /// on with.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="resumeFrom">The checkpoint that the run goes on from (<see cref="TrainingOptions.ResumeFrom"/>): rows of steps
    /// after it are left out, since these steps are made anew, and so is a metric that only they have. Null starts an empty
    /// file.</param>
    /// <exception cref="InvalidInputException">The checkpoint is damaged, or the metrics of steps before it are missing from the
    /// file.</exception>
    public MetricsTable(string folder, string? resumeFrom = null)
    {
        var lastStep = CheckpointState.StepOf(resumeFrom);
        Directory.CreateDirectory(folder);
        path = Path.Combine(folder, "metrics.csv");
        if (lastStep is { } last && File.Exists(path))
            ReadUpTo(last);
        writer = rows.Count > 0 ? WriteAnew() : new StreamWriter(path) { AutoFlush = true };
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
        writer = WriteAnew();
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => writer.Dispose();

    /// <summary>Writes all rows, and opens the file behind them.</summary>
    private StreamWriter WriteAnew()
    {
        AtomicFile.Write(path, stream =>
        {
            using var whole = new StreamWriter(stream, leaveOpen: true);
            whole.Write(string.Join(',', columns.Select(Field)) + LineEnd);
            foreach (var earlier in rows)
                whole.Write(Line(earlier));
        });
        return new StreamWriter(path, append: true) { AutoFlush = true };
    }

    /// <summary>Takes over what the interrupted run wrote of the steps that stay.</summary>
    private void ReadUpTo(int last)
    {
        var records = Records(File.ReadAllText(path)).ToList();
        if (records.Count == 0)
            return;
        var names = records[0];
        foreach (var record in records.Skip(1))
        {
            try
            {
                var row = names.Zip(record).Where(field => field.Second.Length > 0)
                    .ToDictionary(field => field.First, field => double.Parse(field.Second, CultureInfo.InvariantCulture));
                // A run leaves no step out.
                if (row["step"] > last || (rows.Count > 0 && row["step"] != rows[^1]["step"] + 1))
                    break;
                rows.Add(row);
            }
            catch (Exception e) when (e is FormatException or ArgumentException or KeyNotFoundException)
            {
                break; // not ours from here on
            }
        }
        var lastKept = rows.Count > 0 ? (int)rows[^1]["step"] : 0;
        if (lastKept < last)
            throw StepLines.Missing(path, lastKept, last);
        columns.AddRange(names.Where(name => name != "step" && rows.Any(row => row.ContainsKey(name))));
    }

    /// <summary>The fields of the records; one that was being written when the run was killed has no end, and is left out.</summary>
    private static IEnumerable<List<string>> Records(string text)
    {
        var (record, field, isQuoted) = (new List<string>(), new StringBuilder(), false);
        for (var at = 0; at < text.Length; at++)
        {
            // A quote within quotes is written twice, which closes them and opens them again: the second is part of the text.
            if (text[at] == '"')
            {
                isQuoted = !isQuoted;
                if (isQuoted && at > 0 && text[at - 1] == '"')
                    field.Append('"');
            }
            else if (isQuoted || text[at] is not (',' or '\r' or '\n'))
            {
                field.Append(text[at]);
            }
            else if (text[at] != '\r')
            {
                record.Add(field.ToString());
                field.Clear();
                if (text[at] == ',')
                    continue;
                yield return record;
                record = [];
            }
        }
    }

    private string Line(IReadOnlyDictionary<string, double> row) => string.Join(',', columns.Select(column =>
        row.TryGetValue(column, out var value) ? value.ToString("r", CultureInfo.InvariantCulture) : "")) + LineEnd;

    private static string Field(string text) => text.AsSpan().ContainsAny(",\"\r\n")
        ? new StringBuilder(text).Replace("\"", "\"\"").Insert(0, '"').Append('"').ToString()
        : text;
}
