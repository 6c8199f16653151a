namespace Dpo.Benchmarks;

/// <summary>Hands every step's metrics to an action, at once and on the training thread.</summary>
internal sealed class StepReports(Action<TrainingMetrics> action) : IProgress<TrainingMetrics>
{
    public void Report(TrainingMetrics value) => action(value);
}
