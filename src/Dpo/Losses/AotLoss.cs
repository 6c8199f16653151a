using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>aot</c>: d = sort(log π_w − log π_l) − sort(log π_ref,w − log π_ref,l) over the batch, −(1−ε) ls(βd) − ε ls(−βd), Alignment
/// via Optimal Transport on paired data (Melnyk et al. 2024): the distribution of the policy's margins is to dominate that
/// of the reference's, quantile by quantile.
/// </summary>
/// <remarks>Losses are in the order of the sorted margins. The sort couples the batch: larger batches compare finer
/// quantiles.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="labelSmoothing">ε in [0, ½).</param>
public sealed class AotLoss(double beta = 0.1, double labelSmoothing = 0) : PairLoss
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
        var policyMargins = pairs.PolicyChosen - pairs.PolicyRejected;
        return OfQuantiles((policyMargins.sort().Values - pairs.ReferenceMargins.sort().Values).Times(Beta), LabelSmoothing);
    }

    /// <summary>−(1−ε) ls(x) − ε ls(−x).</summary>
    internal static Tensor OfQuantiles(Tensor margins, double labelSmoothing) =>
        margins.Times(labelSmoothing) - nn.functional.logsigmoid(margins);
}
