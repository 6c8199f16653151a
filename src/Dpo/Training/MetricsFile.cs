using System.Text.Json;

namespace Dpo;

/// <summary>
/// Writes <c>metrics.jsonl</c>, one object per optimizer step with its <c>step</c> and metrics, and beside it
/// <c>timing.jsonl</c> with each step's <c>seconds</c> and <see cref="TrainingPace"/>, so that the metrics of two equal runs are equal byte by byte.
/// </summary>
public sealed class MetricsFile : IProgress<TrainingMetrics>, IDisposable
{
    private const string MetricsName = "metrics.jsonl";
    private const string TimingName = "timing.jsonl";

    private readonly FolderLock claim;
    private readonly StreamWriter metricsWriter;
    private readonly StreamWriter timingWriter;

    /// <summary>Starts both files in <paramref name="folder"/>, which is made where it is missing; older ones are replaced, or
    /// gone on with.</summary>
    /// <param name="folder">The folder; one run at a time can write there.</param>
    /// <param name="resumeFrom">The checkpoint that the run goes on from (<see cref="TrainingOptions.ResumeFrom"/>): lines of steps
    /// after it are cut off, since these steps are made anew. Null starts empty files.</param>
    /// <exception cref="InvalidInputException">Another run writes to the folder, or nothing can be written there; or the checkpoint is
    /// damaged, or the metrics of steps before it are missing from the file.</exception>
    public MetricsFile(string folder, string? resumeFrom = null)
    {
        var lastStep = resumeFrom is null ? null : (int?)CheckpointState.Read(resumeFrom).Position.Step;
        claim = new FolderLock(folder, ".metrics.lock");
        try
        {
            metricsWriter = Open(Path.Combine(folder, MetricsName), lastStep);
            timingWriter = Open(Path.Combine(folder, TimingName), lastStep);
        }
        catch
        {
            metricsWriter?.Dispose();
            claim.Dispose();
            throw;
        }
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
        claim.Dispose();
    }

    /// <summary>Opens a file behind the lines of the steps that stay.</summary>
    private static StreamWriter Open(string path, int? lastStep)
    {
        var stream = new FileStream(path, lastStep is null ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        if (lastStep is { } last && stream.Length > 0)
        {
            var (length, step) = Kept(stream, last);
            if (step < last && Path.GetFileName(path) == MetricsName)
            {
                stream.Dispose();
                throw new InvalidInputException(
                    $"{path} ends after step {step}, but the checkpoint was written after step {last}; move the file away to go on without the lines before.");
            }
            stream.SetLength(length);
            stream.Position = length;
        }
        return new StreamWriter(stream) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>How many bytes the whole lines of steps up to the last one take, and the last step among them. A line that was being
    /// written when the run was killed is not whole; nor does a run leave a step out.</summary>
    private static (long Length, int Step) Kept(FileStream stream, int last)
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var (length, lastKept) = (0, 0);
        while (Array.IndexOf(bytes, (byte)'\n', length) is var end and >= 0)
        {
            try
            {
                var step = JsonDocument.Parse(bytes.AsMemory(length..end)).RootElement.GetProperty("step").GetInt32();
                if (step > last || (length > 0 && step != lastKept + 1))
                    break;
                lastKept = step;
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                break;
            }
            length = end + 1;
        }
        return (length, lastKept);
    }
}
