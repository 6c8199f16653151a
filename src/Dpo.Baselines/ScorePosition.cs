namespace Dpo.Baselines;

/// <summary>Where among a completion's rewards its score is added.</summary>
public enum ScorePosition
{
    /// <summary>At the last token (Ziegler et al. 2019; Stiennon et al. 2020): a reward, a value and a return for each
    /// token.</summary>
    LastToken,

    /// <summary>At the state behind the last token, which is valued too, where a completion is shorter than the longest that is
    /// sampled (TRL's <c>PPOTrainer</c>): rewards, values and returns have one entry more than there are tokens, and advantages
    /// of tokens alone. A completion of full length has its score at its last token.</summary>
    AfterLastToken,
}
