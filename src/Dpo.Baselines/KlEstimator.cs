namespace Dpo.Baselines;

/// <summary>How the KL divergence of policy and reference is estimated at one sampled token, from d = log π_ref − log π (Schulman
/// 2020).</summary>
public enum KlEstimator
{
    /// <summary>−d: unbiased, and of either sign.</summary>
    K1,

    /// <summary>exp(d) − 1 − d: unbiased, and never negative.</summary>
    K3,
}
