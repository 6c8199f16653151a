using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// Unlikelihood, a baseline of the DPO paper (Appendix C.3; Welleck et al. 2020): −log π(y_w|x) + α log π(y_l|x). Raises the
/// likelihood of the chosen completion and lowers that of the rejected one, without a reference.
/// </summary>
/// <remarks>Nothing bounds the second term: the paper finds degenerate text for it on TL;DR and HH. The reported rewards are the
/// log-probabilities.</remarks>
/// <param name="alpha">α in [0, 1]: the weight of the unlikelihood; the paper takes 0.05, 0.1, 0.5 and 1 for sentiment.</param>
public sealed class UnlikelihoodLoss(double alpha = 0.5) : PairLoss
{
    /// <summary>α.</summary>
    public double Alpha { get; } = alpha is >= 0 and <= 1
        ? alpha
        : throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α must lie in [0, 1].");

    /// <summary>1: rewards are log-probabilities.</summary>
    public override double Beta => 1;

    /// <inheritdoc/>
    public override bool UsesReference => false;

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(this, ("Alpha", Alpha));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return pairs.PolicyRejected.Times(Alpha) - pairs.PolicyChosen;
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.Policy.Sums.detach();
    }
}
