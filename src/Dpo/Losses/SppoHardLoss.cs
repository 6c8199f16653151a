using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>sppo_hard</c>: (s_w − 1/(2β))² + (s_l + 1/(2β))², Self-Play Preference Optimization (Wu et al. 2024) with hard labels: a
/// win counts as probability 1, a loss as 0.
/// </summary>
/// <param name="beta">β &gt; 0 (1/η in the paper).</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class SppoHardLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
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
        var target = 1 / (2 * Beta);
        return divergence.Score(pairs.ChosenRatios).Minus(target).Squared()
            .Plus(divergence.Score(pairs.RejectedRatios).Plus(target).Squared());
    }
}
