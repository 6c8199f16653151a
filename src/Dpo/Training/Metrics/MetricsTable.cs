using System.Globalization;
using System.Text;
using Dpo.Files;
using Dpo.Training.Checkpointing;

namespace Dpo.Training.Metrics;

/// <summary>
/// Writes <c>metrics.csv</c>: a row per optimizer step and a column per metric, for spreadsheets and data frames. As in
/// <c>metrics.jsonl</c> there is nothing of time in it, so that two equal runs write equal bytes.
/// </summary>
/// <remarks>
/// RFC 4180: commas, lines that end in CR LF, fields in quotes where they need them. Numbers are written so that they read back
/// to the bit, with a point in any culture; what a step did not measure is an empty field. A metric that first appears later,
/// as those of an evaluation do, becomes the last column; the file is then written anew from what it holds, whole or not at all.
/// No row is kept in memory.
/// </remarks>
public sealed class MetricsTable : IProgress<TrainingMetrics>, IDisposable
{
    private const string StepName = "step";

    private readonly string path;

    /// <summary>The last step whose row stays when the file is written anew; null for none.</summary>
    private int? lastStep;
    private IReadOnlyList<string> columns = [StepName];
    private GrowingFile? file;

    /// <summary>Prepares the file in <paramref name="folder"/>, which is made where it is missing; an older one is replaced, or
    /// gone on with, when the first step is reported.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="lastStep">The step that the run goes on behind (<see cref="Checkpoints.LastReportedStep"/>): rows of steps
    /// after it are left out, since these steps are made anew, and so is a metric that only they have. Null starts an empty
    /// file.</param>
    /// <exception cref="InvalidInputException">The metrics of steps up to that one are missing from the file.</exception>
    public MetricsTable(string folder, int? lastStep = null)
    {
        Directory.CreateDirectory(folder);
        path = Path.Combine(folder, "metrics.csv");
        if (lastStep is not { } last || !File.Exists(path))
            return;
        this.lastStep = lastStep;
        columns = ColumnsUpTo(last);
    }

    /// <summary>Appends a step; it is in the file when the call returns.</summary>
    /// <exception cref="IOException">It cannot be written, or the file was removed, renamed or replaced.</exception>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        string[] added = [.. value.Values.Keys.Except(columns)];
        if (file is null || added.Length > 0)
            file = WriteAnew([.. columns, .. added]);
        file.Append(Encoding.UTF8.GetBytes(Csv.Line(columns.Select(column =>
            column == StepName ? value.Step.ToString(CultureInfo.InvariantCulture)
            : value.Values.TryGetValue(column, out var number) ? number.ToString("r", CultureInfo.InvariantCulture) : ""))));
        lastStep = value.Step;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file?.Dispose();

    /// <summary>Writes the rows that stay under other columns.</summary>
    /// <returns>The file, to go on behind them.</returns>
    private GrowingFile WriteAnew(IReadOnlyList<string> all)
    {
        file?.RequireThere();
        file?.Dispose();
        AtomicFile.Write(path, stream =>
        {
            using var writer = new StreamWriter(stream, leaveOpen: true);
            writer.Write(Csv.Line(all.Select(Csv.Field)));
            if (lastStep is not { } last)
                return;
            using var records = Records().GetEnumerator();
            if (!records.MoveNext())
                return;
            var names = records.Current;
            var places = all.Select(column => names.IndexOf(column)).ToArray();
            foreach (var (_, fields) in Rows(records, last))
                writer.Write(Csv.Line(places.Select(place => place >= 0 && place < fields.Count ? fields[place] : "")));
        });
        columns = all;
        return new GrowingFile(path, new FileInfo(path).Length);
    }

    /// <summary>The columns that the rows of steps up to the last one have values in.</summary>
    private List<string> ColumnsUpTo(int last)
    {
        using var records = Records().GetEnumerator();
        if (!records.MoveNext())
            return [StepName];
        var names = records.Current;
        var (lastKept, isUsed) = (0, new bool[names.Count]);
        foreach (var (step, fields) in Rows(records, last))
        {
            lastKept = step;
            foreach (var (place, text) in fields.Index())
                isUsed[place] |= text.Length > 0;
        }
        return lastKept < last
            ? throw StepLines.Missing(path, lastKept, last)
            : [StepName, .. names.Where((name, place) => name != StepName && isUsed[place])];
    }

    /// <summary>The rows from the header on, up to a step, or to the first that is not one of ours: a run leaves no step
    /// out.</summary>
    private static IEnumerable<(int Step, List<string> Fields)> Rows(IEnumerator<List<string>> records, int last)
    {
        var names = records.Current;
        var place = names.IndexOf(StepName);
        if (place < 0 || names.Distinct().Count() < names.Count)
            yield break;
        for (int? before = null; records.MoveNext();)
        {
            var fields = records.Current;
            if (fields.Count > names.Count
                || fields.Any(text => text.Length > 0 && !double.TryParse(text, CultureInfo.InvariantCulture, out _))
                || place >= fields.Count || !int.TryParse(fields[place], CultureInfo.InvariantCulture, out var step)
                || step > last || (before is not null && step != before + 1))
                yield break;
            before = step;
            yield return (step, fields);
        }
    }

    /// <summary>The fields of the file's records, one after another; one that was being written when the run was killed has no
    /// end, and is left out.</summary>
    private IEnumerable<List<string>> Records()
    {
        using var text = new StreamReader(
            new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        var (record, field, isQuoted, before) = (new List<string>(), new StringBuilder(), false, '\0');
        for (var read = text.Read(); read >= 0; read = text.Read())
        {
            var letter = (char)read;
            // A quote within quotes is written twice, which closes them and opens them again: the second is part of the text.
            if (letter == '"')
            {
                isQuoted = !isQuoted;
                if (isQuoted && before == '"')
                    field.Append('"');
            }
            else if (isQuoted || letter is not (',' or '\r' or '\n'))
            {
                field.Append(letter);
            }
            else if (letter != '\r')
            {
                record.Add(field.ToString());
                field.Clear();
                if (letter == '\n')
                {
                    yield return record;
                    record = [];
                }
            }
            before = letter;
        }
    }
}
