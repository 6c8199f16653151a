using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>How far a policy has come from the one that sampled, token by token, from d = log π − log π_old and ρ = exp(d):
/// <c>[M]</c>, detached.</summary>
internal sealed class PolicyChange(Tensor logProbs, Tensor old)
{
    private readonly Tensor differences = logProbs.detach() - old;

    /// <summary>½d²: an estimate of KL(π_old‖π) of little variance, with a bias (Schulman 2020, k2).</summary>
    public Tensor HalfSquared => differences.Squared().Times(0.5);

    /// <summary>−d: unbiased, and of either sign (k1).</summary>
    public Tensor K1 => -differences;

    /// <summary>ρ − 1 − d: unbiased, and never negative (k3).</summary>
    public Tensor K3 => Ratios.Minus(1) - differences;

    /// <summary>ρ.</summary>
    public Tensor Ratios => differences.exp();

    /// <summary>Whether ρ is further from 1 than the range in which the loss is not clipped.</summary>
    public Tensor Outside(double range) => Ratios.AtLeast(1 - range).AtMost(1 + range).ne(Ratios);
}
