using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Training.Checkpointing;

namespace Dpo.Training.Metrics;

/// <summary>
/// Writes <c>samples.jsonl</c> at every evaluation: an object per sample with the <c>step</c>, the <c>prompt</c>, and what the
/// <c>policy</c> and the <c>reference</c>, where there is one, say to it.
/// </summary>
/// <remarks>
/// It goes where metrics go: <c>Progress.All(metricsFile, samplesFile)</c>. A step that was not followed by an evaluation costs
/// nothing.
/// </remarks>
public sealed class SamplesFile : IProgress<TrainingMetrics>, IDisposable
{
    // Text is to be read by people: what is not ASCII stays as it is.
    private static readonly JsonSerializerOptions readable = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly SampleComparison comparison;
    private readonly GrowingFile file;
    private readonly CancellationToken cancellationToken;

    /// <summary>Prepares the file in <paramref name="folder"/>, which is made where it is missing; an older one is replaced, or
    /// gone on with, when the first step is reported.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="comparison">What to sample.</param>
    /// <param name="lastStep">The step that the run goes on behind (<see cref="Checkpoints.LastReportedStep"/>): samples of steps
    /// after it are cut off, since these steps are made anew. Null starts an empty file.</param>
    /// <param name="cancellationToken">Ends the drawing of samples; give it the run's.</param>
    public SamplesFile(
        string folder, SampleComparison comparison, int? lastStep = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(comparison);
        (this.comparison, this.cancellationToken) = (comparison, cancellationToken);
        Directory.CreateDirectory(folder);
        file = StepLines.Open(Path.Combine(folder, "samples.jsonl"), lastStep, isComplete: false);
    }

    /// <summary>Samples, where the step has metrics of an evaluation; the samples are in the file when the call
    /// returns.</summary>
    /// <exception cref="IOException">They cannot be written, or the file was removed, renamed or replaced.</exception>
    /// <exception cref="OperationCanceledException">The drawing was cancelled; nothing of this step is written.</exception>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var samples = value.HasEvaluation ? comparison.Draw(cancellationToken) : [];
        StepLines.Append(
            file,
            samples.Select(sample =>
                new { step = value.Step, prompt = sample.Prompt, policy = sample.Policy, reference = sample.Reference }),
            readable);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file.Dispose();
}
