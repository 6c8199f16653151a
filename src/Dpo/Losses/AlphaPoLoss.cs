using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>alphapo</c>: −ls(β(ρ_w − ρ_l) − γ) with ρ = (1 − p̄^(−α))/α, where p̄ = exp(log π(y|x)/n) is the geometric mean of a
/// completion's token probabilities (AlphaPO, Gupta et al. 2025). Without a reference.
/// </summary>
/// <remarks>In the limit α = 0 it is <see cref="SimPoLoss"/>. Above 0 an unlikely completion's reward falls faster than its
/// log-probability, which holds the chosen one's up; below 0 more slowly. For where SimPO is taken, and chosen completions lose
/// too much of their likelihood. Exponents are capped as those of <see cref="FDivergence"/>. The reported rewards are
/// β·ρ.</remarks>
/// <param name="beta">β &gt; 0; the default, as γ's and α's, is the paper's for Llama 3 (TRL's recipe).</param>
/// <param name="gamma">γ ≥ 0: the margin of rewards that is asked for.</param>
/// <param name="alpha">α, any finite number; the paper finds 0.1 to 0.25 good.</param>
public sealed class AlphaPoLoss(double beta = 2.5, double gamma = 0.1, double alpha = 0.25) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>γ.</summary>
    public double Gamma { get; } = LossArgument.AtLeast0(gamma, "γ", nameof(gamma));

    /// <summary>α.</summary>
    public double Alpha { get; } = double.IsFinite(alpha)
        ? alpha
        : throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α must be a finite number.");

    /// <inheritdoc/>
    public override bool UsesReference => false;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = Shaped(pairs.PerChosenToken(pairs.PolicyChosen)) - Shaped(pairs.PerRejectedToken(pairs.PolicyRejected));
        return -nn.functional.logsigmoid(margins.Times(Beta).Minus(Gamma));
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return Shaped(part.Policy.Sums / part.Policy.Counts).Times(Beta).detach();
    }

    // So near to 0 the quotient would be rounding noise about its limit.
    private Tensor Shaped(Tensor means) =>
        Math.Abs(Alpha) < 1e-6 ? means : FDivergence.CappedExp(means.Times(-Alpha)).OneMinus().DividedBy(Alpha);
}
