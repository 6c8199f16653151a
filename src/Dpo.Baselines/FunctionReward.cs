namespace Dpo.Baselines;

/// <summary>A reward that is a function of one completion: the true reward of a task, a rule, or the probability that a
/// classifier gives.</summary>
/// <param name="score">The function; the higher the better.</param>
public sealed class FunctionReward(Func<Answer, float> score) : IReward
{
    /// <inheritdoc/>
    public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        return [.. answers.Select(score)];
    }
}
