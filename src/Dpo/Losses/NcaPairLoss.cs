using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>nca_pair</c>: −ls(βs_w) − ½ ls(−βs_w) − ½ ls(−βs_l), Noise Contrastive Alignment (Chen et al. 2024) of a pair. Holds up
/// the likelihood of the chosen completion itself, where DPO trains the difference only.
/// </summary>
/// <param name="beta">β &gt; 0.</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class NcaPairLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
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
        var chosen = divergence.Score(pairs.ChosenRatios).Times(Beta);
        var rejected = divergence.Score(pairs.RejectedRatios).Times(Beta);
        return -nn.functional.logsigmoid(chosen)
            - nn.functional.logsigmoid(-chosen).Plus(nn.functional.logsigmoid(-rejected)).Times(0.5);
    }
}
