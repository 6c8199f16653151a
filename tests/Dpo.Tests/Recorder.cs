namespace Dpo.Tests;

/// <summary>Keeps what a trainer reports, in order.</summary>
internal sealed class Recorder(List<TrainingMetrics> steps) : IProgress<TrainingMetrics>
{
    public void Report(TrainingMetrics value) => steps.Add(value);
}
