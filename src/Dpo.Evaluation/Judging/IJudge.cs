namespace Dpo.Evaluation.Judging;

/// <summary>
/// What says which of two completions is better: a language model that is asked (<see cref="ChatJudge"/>), a reward model, a
/// classifier or a function of text (<see cref="RewardJudge"/>), or a measure of likeness to a reference text (<see
/// cref="ReferenceJudge"/>). <see cref="JudgingRun"/> has one judge many comparisons, and keeps its verdicts.
/// </summary>
public interface IJudge
{
    /// <summary>What people know it by, such as in tables.</summary>
    public string Name { get; }

    /// <summary>All that its verdicts follow from besides the comparison: a model, a prompt, a temperature. Verdicts that are
    /// kept under another identity are another judge's, and are not used.</summary>
    public string Identity { get; }

    /// <summary>The most comparisons that one call takes; at least 1.</summary>
    public int BatchSize { get; }

    /// <summary>Judges comparisons, each as it stands: <see cref="Comparison.First"/> is shown first.</summary>
    /// <param name="comparisons">The comparisons, as many as <see cref="BatchSize"/> allows.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>A judgement for each, in their order.</returns>
    public Task<IReadOnlyList<Judgement>> CompareAsync(
        IReadOnlyList<Comparison> comparisons, CancellationToken cancellationToken = default);
}
