using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>aot_unpaired</c>: d = sort(r_w) − sort(r_l) over the batch, −(1−ε) ls(βd) − ε ls(−βd), Alignment via Optimal Transport on
/// unpaired data (Melnyk et al. 2024): the distribution of chosen completions' rewards is to dominate that of rejected
/// ones', quantile by quantile, whichever belonged together.
/// </summary>
/// <remarks>Losses are in the order of the sorted rewards. The sort couples the batch.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="labelSmoothing">ε in [0, ½).</param>
public sealed class AotUnpairedLoss(double beta = 0.1, double labelSmoothing = 0) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>ε.</summary>
    public double LabelSmoothing { get; } = LossArgument.LabelSmoothing(labelSmoothing);

    /// <inheritdoc/>
    public override bool IsBatchCoupled => true;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return AotLoss.OfQuantiles(
            (pairs.ChosenRatios.sort().Values - pairs.RejectedRatios.sort().Values).Times(Beta), LabelSmoothing);
    }
}
