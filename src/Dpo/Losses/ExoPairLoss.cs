using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>exo_pair</c>: σ(βΔ)[ls(βΔ) − log(1−ε)] + σ(−βΔ)[ls(−βΔ) − log ε], the reverse KL from the policy's preference to the
/// smoothed label (Efficient Exact Optimization, Ji et al. 2024, Eq. 16).
/// </summary>
/// <param name="beta">β &gt; 0.</param>
/// <param name="labelSmoothing">ε in (0, ½): at 0 the loss is infinite. TRL's examples take
/// 1e-3, the default here.</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class ExoPairLoss(double beta = 0.1, double labelSmoothing = 1e-3, FDivergence? divergence = null) : PairLoss
{
    private readonly FDivergence divergence = divergence ?? FDivergence.ReverseKl;

    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>ε.</summary>
    public double LabelSmoothing { get; } = LossArgument.LabelSmoothing(labelSmoothing) > 0
        ? labelSmoothing
        : throw new ArgumentOutOfRangeException(
            nameof(labelSmoothing), labelSmoothing,
            "Label smoothing must lie in (0, 0.5): at 0 the loss holds the logarithm of 0; take 1e-3.");

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(
        this, ("Beta", Beta), ("LabelSmoothing", LabelSmoothing), ("divergence", divergence));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = (divergence.Score(pairs.ChosenRatios) - divergence.Score(pairs.RejectedRatios)).Times(Beta);
        return (margins.sigmoid() * nn.functional.logsigmoid(margins).Minus(Math.Log(1 - LabelSmoothing)))
            .Plus((-margins).sigmoid() * nn.functional.logsigmoid(-margins).Minus(Math.Log(LabelSmoothing)));
    }
}
