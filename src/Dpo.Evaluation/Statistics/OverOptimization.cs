namespace Dpo.Evaluation.Statistics;

/// <summary>How the true reward follows from the distance to the reference, d = √KL, while a proxy of it is optimised (Gao et al.
/// 2022): it rises, and falls where the proxy is optimised further.</summary>
public enum OverOptimization
{
    /// <summary>d(α − βd), as it is for best-of-n.</summary>
    BestOfN,

    /// <summary>d(α − β log d), as it is for reinforcement learning.</summary>
    ReinforcementLearning,
}
