using Dpo.Batching;
using Dpo.Losses;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>
/// Exploratory preference optimization (Xie et al. 2024): DPO, −log σ(β·Δ), and α times the mean log π(y|x) of completions that
/// the reference wrote. What the reference is likely to write becomes less likely, so that the policy tries what is new.
/// </summary>
/// <remarks>Goes with <see cref="ReferenceSampler"/> and <see cref="PairMaking.AcrossHalves"/>, which labels the reference's
/// completions as undesirable: by that the loss knows them.</remarks>
/// <param name="alpha">α, 0, which is DPO, or more, and small: where a completion of the reference is never preferred, nothing
/// bounds the second term. TRL's default is 1e-5.</param>
/// <param name="beta">β above 0.</param>
public sealed class XpoLoss(double alpha = 1e-5, double beta = 0.1) : PairLoss
{
    /// <summary>α.</summary>
    public double Alpha { get; } = LossArgument.AtLeast0(alpha, "α", nameof(alpha));

    /// <summary>β.</summary>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return -nn.functional.logsigmoid(pairs.Margins.Times(Beta));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidInputException">No completion is labelled as the reference's.</exception>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch)
    {
        ArgumentNullException.ThrowIfNull(part);
        if (batch.Undesirable == 0)
            throw new InvalidInputException(
                "XPO lowers the likelihood of the reference's completions, which are labelled undesirable, and a batch has " +
                "none; sample by ReferenceSampler and make pairs by PairMaking.AcrossHalves.");
        var ofReference = part.Policy.Sums.index_select(0, part.Preferences.Undesirable);
        return base.Share(part, batch).Plus(ofReference.sum().Times(Alpha / batch.Undesirable));
    }
}
