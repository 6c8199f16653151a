namespace Dpo.Baselines;

/// <summary>What says how good a completion is: a reward model, a classifier, a function of text, a judge. PPO, best-of-N and
/// rounds of DPO take any.</summary>
public interface IReward
{
    /// <summary>Scores completions, the higher the better.</summary>
    /// <param name="answers">The completions; those of a prompt stand together, which lets it be computed once for all of
    /// them.</param>
    /// <returns>A finite number for each, in their order.</returns>
    public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers);
}
