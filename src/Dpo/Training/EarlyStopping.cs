using Dpo.Training.Checkpointing;

namespace Dpo.Training;

/// <summary>Ends runs that no longer get better (<see cref="TrainingOptions.StopWhen"/>).</summary>
public static class EarlyStopping
{
    /// <summary>Ends a run once a held-out metric has not improved for some evaluations:
    /// <c>StopWhen = EarlyStopping.On(new("eval_loss"), patience: 3)</c>.</summary>
    /// <remarks>Steps that do not measure the metric do not count. What it has seen is not part of a checkpoint: a run that is
    /// resumed is given as much patience as one that begins.</remarks>
    /// <param name="metric">The metric, and which way it is better.</param>
    /// <param name="patience">How many evaluations in a row without improvement end the run; 1 or more.</param>
    /// <returns>A condition for one run.</returns>
    public static Func<TrainingMetrics, bool> On(BestMetric metric, int patience)
    {
        ArgumentNullException.ThrowIfNull(metric);
        ArgumentOutOfRangeException.ThrowIfLessThan(patience, 1);
        double? best = null;
        var waited = 0;
        return step =>
        {
            if (!step.Values.TryGetValue(metric.Name, out var value))
                return false;
            if (metric.Improves(value, best))
                (best, waited) = (value, 0);
            else
                waited++;
            return waited >= patience;
        };
    }
}
