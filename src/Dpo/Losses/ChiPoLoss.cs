using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>chi_po</c>: −ls(clip(β(φ_w − φ_l), ±2R)) with φ = eʳ + r, χ²-preference optimization (Huang et al. 2024, "Correcting the
/// Mythos of KL-Regularization"): the reward of DPO under a mixture of the χ² divergence and the KL, which the policy cannot
/// escape by going where the reference never was.
/// </summary>
/// <remarks>For data that cover little of what the policy may say, where DPO over-optimizes. Beyond the clip, and for the first
/// part of φ beyond the cap of its exponent, a pair has no gradient.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="rewardBound">R &gt; 0: the largest reward there is; null does not clip.</param>
/// <param name="maxExponent">The cap of r in eʳ, above 0 and at most 80, so that fp32 holds the exponential.</param>
public sealed class ChiPoLoss(double beta = 0.1, double? rewardBound = null, double maxExponent = 20) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>R; null for none.</summary>
    public double? RewardBound { get; } = rewardBound is null or (> 0 and < double.PositiveInfinity)
        ? rewardBound
        : throw new ArgumentOutOfRangeException(
            nameof(rewardBound), rewardBound, "The bound of rewards must be a number above 0.");

    /// <summary>The cap of r in eʳ.</summary>
    public double MaxExponent { get; } = maxExponent is > 0 and <= 80
        ? maxExponent
        : throw new ArgumentOutOfRangeException(nameof(maxExponent), maxExponent, "The largest exponent must lie in (0, 80].");

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = (Link(pairs.ChosenRatios) - Link(pairs.RejectedRatios)).Times(Beta);
        return -nn.functional.logsigmoid(
            RewardBound is { } bound ? margins.AtLeast(-2 * bound).AtMost(2 * bound) : margins);
    }

    private Tensor Link(Tensor ratios) => ratios.AtMost(MaxExponent).exp().Plus(ratios);
}
