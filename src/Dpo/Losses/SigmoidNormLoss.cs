using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>sigmoid_norm</c>: −ls(β(s_w/n_w − s_l/n_l)), DPO with rewards per token (length-normalised DPO; Tülu 3, Lambert et al.
/// 2024), so that longer completions do not earn more by being longer.
/// </summary>
/// <param name="beta">β &gt; 0; larger than DPO's by about a completion's length (Tülu 3: 5).</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class SigmoidNormLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
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
        var margins = pairs.PerChosenToken(divergence.Score(pairs.ChosenRatios))
            - pairs.PerRejectedToken(divergence.Score(pairs.RejectedRatios));
        return -nn.functional.logsigmoid(margins.Times(Beta));
    }
}
