using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>tdpo2</c>: −ls(β(Δ − α(K_l − sg(K_w)))), token-level DPO (Zeng et al. 2024, Eq. 17), with K as in <see cref="Tdpo1Loss"/>
/// and no gradient through the chosen completion's: that of the rejected one is drawn to it.
/// </summary>
/// <remarks>The authors' better one of the two; what is said of the other holds.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="alpha">α ≥ 0: what the KLs count; the paper takes 0.5. At 0 it is <see cref="DpoLoss"/>.</param>
public sealed class Tdpo2Loss(double beta = 0.1, double alpha = 0.5) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>α.</summary>
    public double Alpha { get; } = LossArgument.AtLeast0(alpha, "α", nameof(alpha));

    /// <inheritdoc/>
    public override LogProbsRequest Needs { get; } = new() { ReferenceKl = true };

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var (chosen, rejected) = pairs.ReferenceKls;
        return -nn.functional.logsigmoid((pairs.Margins - (rejected - chosen.detach()).Times(Alpha)).Times(Beta));
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part) => Tdpo1Loss.RewardsOf(part, Beta);
}
