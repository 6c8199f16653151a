using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>simpo</c>: −ls(β(a_w − a_l) − γ), where a = log π(y|x)/n is the mean log-probability of a completion's tokens (SimPO, Meng
/// et al. 2024, Eq. 6). Without a reference.
/// </summary>
/// <remarks>The reported rewards are β·a, as TRL's CPO trainer reports them.</remarks>
/// <param name="beta">β &gt; 0; the paper takes 2 to 10.</param>
/// <param name="gamma">γ ≥ 0: the margin of rewards that is asked for; the paper takes 0.3 to 5, the default is TRL's.</param>
public sealed class SimPoLoss(double beta = 2, double gamma = 0.5) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>γ.</summary>
    public double Gamma { get; } = LossArgument.AtLeast0(gamma, "γ", nameof(gamma));

    /// <inheritdoc/>
    public override bool UsesReference => false;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = pairs.PerChosenToken(pairs.PolicyChosen) - pairs.PerRejectedToken(pairs.PolicyRejected);
        return -nn.functional.logsigmoid(margins.Times(Beta).Minus(Gamma));
    }
}
