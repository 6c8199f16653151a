using Dpo.Files;
using Dpo.Training.Checkpointing;

namespace Dpo.Training.Metrics;

/// <summary>
/// Writes <c>metrics.jsonl</c>, one object per optimizer step with its <c>step</c> and metrics, and the same as a table,
/// <c>metrics.csv</c>, for spreadsheets and data frames; and beside them <c>timing.jsonl</c> with each step's <c>seconds</c> and
/// <see cref="TrainingPace"/>, so that the metrics of two equal runs are equal byte by byte.
/// </summary>
/// <remarks>
/// <para>Numbers are written so that they read back to the bit, with a point in any culture. What is not finite, for which JSON
/// has no number, is the string "NaN", "Infinity" or "-Infinity".</para>
/// <para>The table is as RFC 4180 says: commas, lines that end in CR LF, fields in quotes where they need them. A metric that
/// first appears later, as those of an evaluation do, becomes the last column, and the table is written anew from the
/// lines.</para>
/// </remarks>
public sealed class MetricsFile : IProgress<TrainingMetrics>, IDisposable
{
    private const string MetricsName = "metrics.jsonl";
    private const string TableName = "metrics.csv";
    private const string TimingName = "timing.jsonl";

    private readonly FolderLock claim;
    private readonly GrowingFile metrics;
    private readonly MetricsTable table;
    private readonly GrowingFile timing;

    /// <summary>Prepares the files in <paramref name="folder"/>, which is made where it is missing; older ones are replaced, or
    /// gone on with, when the first step is reported.</summary>
    /// <param name="folder">The folder; one run at a time can write there.</param>
    /// <param name="lastStep">The step that the run goes on behind (<see cref="Checkpoints.LastReportedStep"/>): lines of steps
    /// after it are cut off, since these steps are made anew. Null starts empty files.</param>
    /// <exception cref="InvalidInputException">Another run writes to the folder, or nothing can be written there; or the metrics
    /// of steps up to that one are missing from the file.</exception>
    public MetricsFile(string folder, int? lastStep = null)
    {
        claim = new FolderLock(folder, ".metrics.lock");
        try
        {
            metrics = StepLines.Open(Path.Combine(folder, MetricsName), lastStep, isComplete: true);
            table = new MetricsTable(Path.Combine(folder, TableName), Path.Combine(folder, MetricsName));
            timing = StepLines.Open(Path.Combine(folder, TimingName), lastStep, isComplete: false);
        }
        catch
        {
            claim.Dispose();
            throw;
        }
    }

    /// <summary>Appends a step; it is in the file when the call returns.</summary>
    /// <exception cref="IOException">It cannot be written, or a file was removed, renamed or replaced.</exception>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var step = value.Values.Prepend(new("step", value.Step)).ToDictionary(metric => metric.Key, metric => metric.Value);
        StepLines.Append(metrics, [step], StepLines.Style);
        table.Add(step);
        StepLines.Append(timing,
        [
            value.Pace is { } pace
                ? new
                {
                    step = value.Step,
                    seconds = value.Elapsed.TotalSeconds,
                    examples_per_second = pace.ExamplesPerSecond,
                    tokens_per_second = pace.TokensPerSecond,
                    remaining_seconds = pace.Remaining.TotalSeconds,
                    peak_memory_bytes = pace.PeakMemoryBytes,
                }
                : (object)new { step = value.Step, seconds = value.Elapsed.TotalSeconds },
        ]);
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        metrics.Dispose();
        table.Dispose();
        timing.Dispose();
        claim.Dispose();
    }
}
