using System.Text;
using Dpo.Files;

namespace Dpo.Training.Metrics;

/// <summary>The lines of <c>metrics.jsonl</c> as a table: a row per optimizer step and a column per metric, in the order in which
/// they first appear. What a step did not measure is an empty field.</summary>
/// <remarks>The lines are what counts. Of them the table is written anew, whole or not at all, when the first step is reported
/// and when a metric appears that has no column yet; other steps are appended. No row is kept in memory, and none is ever read
/// back from the table.</remarks>
/// <param name="path">Where it lies.</param>
/// <param name="lines">Where the lines lie.</param>
internal sealed class MetricsTable(string path, string lines) : IDisposable
{
    private IReadOnlyList<string> columns = [];
    private GrowingFile? file;

    /// <summary>Adds a step whose line has been written.</summary>
    public void Add(IReadOnlyDictionary<string, double> step)
    {
        if (file is null || step.Keys.Except(columns).Any())
            WriteAnew();
        else
            file.Append(Encoding.UTF8.GetBytes(Row(step)));
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file?.Dispose();

    /// <summary>Writes the table of all lines.</summary>
    internal void WriteTo(Stream stream)
    {
        columns = [.. Steps().SelectMany(step => step.Keys).Distinct()];
        using var writer = new StreamWriter(stream, leaveOpen: true);
        writer.Write(Csv.Line(columns.Select(Csv.Field)));
        foreach (var step in Steps())
            writer.Write(Row(step));
    }

    private void WriteAnew()
    {
        file?.RequireThere();
        Dispose();
        AtomicFile.Write(path, WriteTo);
        file = new GrowingFile(path, new FileInfo(path).Length);
    }

    private IEnumerable<Dictionary<string, double>> Steps()
    {
        using var stream = new FileStream(lines, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1 << 16);
        foreach (var line in StepLines.Whole(stream))
            yield return StepLines.Numbers(line.Span);
    }

    private string Row(IReadOnlyDictionary<string, double> step) =>
        Csv.Line(columns.Select(column => Csv.Field(step.TryGetValue(column, out var value) ? value : (double?)null)));
}
