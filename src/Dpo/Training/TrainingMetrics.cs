namespace Dpo.Training;

/// <summary>
/// What one optimizer step, and an evaluation after it, measured, under TRL's names: <c>loss</c>, <c>grad_norm</c>,
/// <c>learning_rate</c>, <c>epoch</c>, <c>num_tokens</c>, <c>rewards/chosen</c>, <c>rewards/rejected</c>,
/// <c>rewards/margins</c>, <c>rewards/accuracies</c>, <c>logps/chosen</c>, <c>logps/rejected</c>, and those of
/// <see cref="TrainingOptions.DetailedMetrics"/>; those of an evaluation begin with <c>eval_</c>.
/// </summary>
/// <param name="Step">The step, from 1.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
/// <param name="Values">The values by name. Averages are over all pairs of the step, not over micro-batches.</param>
/// <param name="Elapsed">How long the step took, with the evaluation after it. Apart from the values, so that those are equal
/// from run to run.</param>
public sealed record TrainingMetrics(int Step, int TotalSteps, IReadOnlyDictionary<string, double> Values, TimeSpan Elapsed)
{
    /// <summary>How fast the run goes; null where nobody took the time.</summary>
    public TrainingPace? Pace { get; init; }

    /// <summary>Whether held-out data were evaluated after the step.</summary>
    public bool HasEvaluation => Values.Keys.Any(name => name.StartsWith("eval_", StringComparison.Ordinal));

    /// <summary>The value of a metric.</summary>
    /// <exception cref="KeyNotFoundException">It was not measured; the message lists what was.</exception>
    public double this[string name] => Values.TryGetValue(name, out var value) ? value : throw new KeyNotFoundException(
        $"Step {Step} has no metric {name}; it has {string.Join(", ", Values.Keys)}.");
}
