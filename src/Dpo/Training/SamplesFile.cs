using System.Text.Encodings.Web;
using System.Text.Json;

namespace Dpo;

/// <summary>
/// Writes <c>samples.jsonl</c> at every evaluation: an object per sample with the <c>step</c>, the <c>prompt</c>, and what the
/// <c>policy</c> and the <c>reference</c> say to it.
/// </summary>
/// <remarks>
/// It goes where metrics go: <c>Progress.All(metricsFile, samplesFile)</c>. A step that was not followed by an evaluation costs
/// nothing.
/// </remarks>
public sealed class SamplesFile : IProgress<TrainingMetrics>, IDisposable
{
    // Text is to be read by people: what is not ASCII stays as it is.
    private static readonly JsonSerializerOptions readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly SampleComparison comparison;
    private readonly StreamWriter writer;

    /// <summary>Starts the file in <paramref name="folder"/>, which is made where it is missing; an older one is replaced.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="comparison">What to sample.</param>
    public SamplesFile(string folder, SampleComparison comparison)
    {
        ArgumentNullException.ThrowIfNull(comparison);
        this.comparison = comparison;
        Directory.CreateDirectory(folder);
        writer = new StreamWriter(Path.Combine(folder, "samples.jsonl")) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>Samples, where the step has metrics of an evaluation; the samples are in the file when the call returns.</summary>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (!value.Values.Keys.Any(name => name.StartsWith("eval_", StringComparison.Ordinal)))
            return;
        foreach (var sample in comparison.Draw())
            writer.WriteLine(JsonSerializer.Serialize(
                new { step = value.Step, prompt = sample.Prompt, policy = sample.Policy, reference = sample.Reference }, readable));
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => writer.Dispose();
}
