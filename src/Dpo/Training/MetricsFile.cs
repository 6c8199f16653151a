using System.Text.Json;

namespace Dpo;

/// <summary>
/// Writes <c>metrics.jsonl</c>, one object per optimizer step with its <c>step</c> and metrics, and beside it
/// <c>timing.jsonl</c> with each step's <c>seconds</c> and <see cref="TrainingPace"/>, so that the metrics of two equal runs are equal byte by byte.
/// </summary>
public sealed class MetricsFile : IProgress<TrainingMetrics>, IDisposable
{
    private readonly StreamWriter metricsWriter;
    private readonly StreamWriter timingWriter;

    /// <summary>Starts both files in <paramref name="folder"/>, which is made where it is missing; older ones are
    /// replaced.</summary>
    public MetricsFile(string folder)
    {
        Directory.CreateDirectory(folder);
        metricsWriter = new StreamWriter(Path.Combine(folder, "metrics.jsonl")) { AutoFlush = true, NewLine = "\n" };
        timingWriter = new StreamWriter(Path.Combine(folder, "timing.jsonl")) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>Appends a step; it is in the file when the call returns.</summary>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        metricsWriter.WriteLine(JsonSerializer.Serialize(
            value.Values.Prepend(new("step", value.Step)).ToDictionary(metric => metric.Key, metric => metric.Value)));
        timingWriter.WriteLine(JsonSerializer.Serialize(
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
                : (object)new { step = value.Step, seconds = value.Elapsed.TotalSeconds }));
    }

    /// <summary>Closes both files.</summary>
    public void Dispose()
    {
        metricsWriter.Dispose();
        timingWriter.Dispose();
    }
}
