using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Files;
using Dpo.Training.Checkpointing;

namespace Dpo.Training.Metrics;

/// <summary>
/// Writes <c>metrics.jsonl</c>, one object per optimizer step with its <c>step</c> and metrics, and beside it
/// <c>timing.jsonl</c> with each step's <c>seconds</c> and <see cref="TrainingPace"/>, so that the metrics of two equal runs are
/// equal byte by byte. What is not finite, for which JSON has no number, is the string "NaN", "Infinity" or "-Infinity".
/// </summary>
public sealed class MetricsFile : IProgress<TrainingMetrics>, IDisposable
{
    private static readonly JsonSerializerOptions Style =
        new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private const string MetricsName = "metrics.jsonl";
    private const string TimingName = "timing.jsonl";

    private readonly FolderLock claim;
    private readonly GrowingFile metrics;
    private readonly GrowingFile timing;

    /// <summary>Prepares both files in <paramref name="folder"/>, which is made where it is missing; older ones are replaced, or
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
        StepLines.Append(
            metrics,
            [value.Values.Prepend(new("step", value.Step)).ToDictionary(metric => metric.Key, metric => metric.Value)],
            Style);
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

    /// <summary>Closes both files.</summary>
    public void Dispose()
    {
        metrics.Dispose();
        timing.Dispose();
        claim.Dispose();
    }
}
