using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>hinge</c>: max(0, 1 − βΔ), the loss of a support vector machine (SLiC-HF, Zhao et al. 2023, with DPO's reward, as in RSO,
/// Liu et al. 2024). A pair whose margin βΔ reaches 1 is not trained on.
/// </summary>
/// <param name="beta">β &gt; 0; 1/β is the margin of log-ratios that is asked for.</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class HingeLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
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
        var margins = divergence.Score(pairs.ChosenRatios) - divergence.Score(pairs.RejectedRatios);
        return nn.functional.relu(margins.Times(Beta).OneMinus());
    }
}
