namespace Dpo.Samples;

/// <summary>Tells a function of every step, on the training thread.</summary>
internal sealed class Shown(Action<TrainingMetrics> show) : IProgress<TrainingMetrics>
{
    public void Report(TrainingMetrics value) => show(value);
}
