using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>robust</c>: [−(1−ε) ls(βΔ) + ε ls(−βΔ)] / (1 − 2ε), robust DPO (Chowdhury et al. 2024, Eq. 12): in expectation over labels
/// of which a share ε was flipped, the loss of DPO on the true ones.
/// </summary>
/// <param name="beta">β &gt; 0.</param>
/// <param name="labelSmoothing">ε in [0, ½): the share of labels that are the wrong way round. At ½ the labels say nothing, and
/// the loss divides by 0.</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class RobustLoss(double beta = 0.1, double labelSmoothing = 0.1, FDivergence? divergence = null) : PairLoss
{
    private readonly FDivergence divergence = divergence ?? FDivergence.ReverseKl;

    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>ε.</summary>
    public double LabelSmoothing { get; } = LossArgument.LabelSmoothing(labelSmoothing);

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(
        this, ("Beta", Beta), ("LabelSmoothing", LabelSmoothing), ("divergence", divergence));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = (divergence.Score(pairs.ChosenRatios) - divergence.Score(pairs.RejectedRatios)).Times(Beta);
        return (nn.functional.logsigmoid(-margins).Times(LabelSmoothing)
                - nn.functional.logsigmoid(margins).Times(1 - LabelSmoothing))
            .DividedBy(1 - 2 * LabelSmoothing);
    }
}
