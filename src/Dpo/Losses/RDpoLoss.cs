using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>r_dpo</c>: −ls(βΔ + α(n_w − n_l)), R-DPO (Park et al. 2024, "Disentangling Length from Quality in DPO", Eq. 9): DPO on a
/// reward that is charged α for every token.
/// </summary>
/// <remarks>A pair whose chosen completion is the longer one is taken to be explained by length in part, and presses less; one
/// whose chosen completion is the shorter one presses more. For when answers grow longer in training than they grow
/// better.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="alpha">α ≥ 0, in units of reward a token; at 0 it is <see cref="DpoLoss"/>.</param>
public sealed class RDpoLoss(double beta = 0.1, double alpha = 0.01) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>α.</summary>
    public double Alpha { get; } = LossArgument.AtLeast0(alpha, "α", nameof(alpha));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return -nn.functional.logsigmoid(pairs.Margins.Times(Beta).Plus(pairs.LengthGaps.Times(Alpha)));
    }
}
