using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>ipo</c>: (s_w/n_w − s_l/n_l − 1/(2β))², Identity Preference Optimization (Azar et al. 2024, Eq. 17) on means over
/// tokens, as TRL computes it. Its margin is held at 1/(2β) instead of growing without bound.
/// </summary>
/// <remarks>The paper's code and OpenRLHF take sums instead of means: <see cref="IpoSumLoss"/>. The two want different β: a sum
/// is as many times a mean as a completion has tokens.</remarks>
/// <param name="beta">β &gt; 0 (τ in the paper).</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class IpoLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
{
    private readonly FDivergence divergence = divergence ?? FDivergence.ReverseKl;

    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(this, ("Beta", Beta), ("divergence", divergence));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = pairs.PerChosenToken(divergence.Score(pairs.ChosenRatios))
            - pairs.PerRejectedToken(divergence.Score(pairs.RejectedRatios));
        return margins.Minus(1 / (2 * Beta)).Squared();
    }
}
