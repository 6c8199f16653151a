using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>tdpo1</c>: −ls(β(Δ − (K_l − K_w))), token-level DPO (Zeng et al. 2024, Eq. 15), where K is the KL of the policy from the
/// reference, Σ_v π_ref(v) log(π_ref(v)/π(v)), summed over a completion's positions: the policy is held to the reference at every
/// token, and not only by the tokens that data have.
/// </summary>
/// <remarks>For when the policy is to stay near the reference at the same reward. The reported rewards are β(r + K). The
/// reference is run in every step: log-probabilities that were computed before do not tell its distributions.</remarks>
/// <param name="beta">β &gt; 0.</param>
public sealed class Tdpo1Loss(double beta = 0.1) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <inheritdoc/>
    public override LogProbsRequest Needs { get; } = new() { ReferenceKl = true };

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var (chosen, rejected) = pairs.ReferenceKls;
        return -nn.functional.logsigmoid((pairs.Margins - (rejected - chosen)).Times(Beta));
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part) => RewardsOf(part, Beta);

    internal static Tensor RewardsOf(PreferenceLogProbs part, double beta)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.LogRatios.Plus(part.ReferenceKlSums ?? throw PairLogProbs.NoKls()).Times(beta).detach();
    }
}
