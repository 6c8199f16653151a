using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>What <see cref="CpoLoss"/> makes of a margin.</summary>
public enum CpoForm
{
    /// <summary><c>cpo</c>: −(1−ε) ls(βm) − ε ls(−βm), m = log π_w − log π_l; the paper's.</summary>
    Sigmoid,

    /// <summary><c>cpo_hinge</c>: max(0, 1 − βm), m = log π_w − log π_l (SLiC).</summary>
    Hinge,

    /// <summary><c>cpo_ipo</c>: (m − 1/(2β))², m = a_w − a_l with a = log π / n.</summary>
    Ipo,
}

/// <summary>
/// The preference term of CPO, Contrastive Preference Optimization (Xu et al. 2024, Eq. 5): DPO without the reference's part, as
/// if that gave every completion the same probability. The paper adds the likelihood of the chosen completions:
/// <see cref="SftLoss"/> beside it, which the names <c>cpo</c>, <c>cpo_hinge</c> and <c>cpo_ipo</c> do with weight α = 1.
/// </summary>
/// <remarks>For when a reference costs too much, and chosen completions are good enough to be imitated. Formulas are TRL's. The
/// reported rewards are β·log π, and β·a for <see cref="CpoForm.Ipo"/>.</remarks>
/// <param name="beta">β &gt; 0; the paper takes 0.1.</param>
/// <param name="labelSmoothing">ε in [0, ½); of <see cref="CpoForm.Sigmoid"/> alone.</param>
/// <param name="form">What is made of a margin.</param>
public sealed class CpoLoss(double beta = 0.1, double labelSmoothing = 0, CpoForm form = CpoForm.Sigmoid) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>ε.</summary>
    public double LabelSmoothing { get; } = LossArgument.LabelSmoothing(labelSmoothing) == 0 || form == CpoForm.Sigmoid
        ? labelSmoothing
        : throw new ArgumentException(
            "Label smoothing must be left out but for CPO's sigmoid form.", nameof(labelSmoothing));

    /// <summary>What is made of a margin.</summary>
    public CpoForm Form { get; } = form;

    /// <inheritdoc/>
    public override bool UsesReference => false;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        if (Form == CpoForm.Ipo)
            return (pairs.PerChosenToken(pairs.PolicyChosen) - pairs.PerRejectedToken(pairs.PolicyRejected))
                .Minus(1 / (2 * Beta)).Squared();
        var margins = (pairs.PolicyChosen - pairs.PolicyRejected).Times(Beta);
        return Form == CpoForm.Hinge
            ? margins.OneMinus().relu()
            : margins.Times(LabelSmoothing) - nn.functional.logsigmoid(margins);
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var policy = part.Policy;
        return (Form == CpoForm.Ipo ? policy.Sums / policy.Counts : policy.Sums).Times(Beta).detach();
    }
}
