using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>orpo</c>: −a_w − β ls(log odds_w − log odds_l), where a = log π(y|x)/n is the mean log-probability of a completion's tokens
/// and odds = eᵃ/(1 − eᵃ) (Odds Ratio Preference Optimization, Hong et al. 2024, Eq. 6 and 7). Fine-tunes and prefers in
/// one stage, without a reference.
/// </summary>
/// <remarks>The first term is the mean over each chosen completion's tokens, then over pairs, as in the paper; TRL takes the mean
/// over the batch's tokens. The reported rewards are β·a, as TRL's.</remarks>
/// <param name="beta">β &gt; 0: the weight of the odds ratio (λ in the paper, which takes 0.1 to 1).</param>
public sealed class OrpoLoss(double beta = 0.1) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <inheritdoc/>
    public override bool UsesReference => false;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var (chosen, rejected) = (pairs.PerChosenToken(pairs.PolicyChosen), pairs.PerRejectedToken(pairs.PolicyRejected));
        return -chosen - nn.functional.logsigmoid(LogOdds(chosen) - LogOdds(rejected)).Times(Beta);
    }

    // A completion known by heart has a probability that rounds to 1, whose odds are infinite and whose gradient is no number.
    private static Tensor LogOdds(Tensor logProb) => logProb - (-logProb.AtMost(-1e-6).expm1()).log();
}
