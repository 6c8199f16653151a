using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>bco_pair</c>: −ls(βs_w) − ls(−βs_l), Binary Classifier Optimization (Jung et al. 2024): a classifier that tells chosen from
/// rejected completions by their reward.
/// </summary>
/// <remarks>As TRL has it today. The paper, and TRL before, subtract a running mean of rewards from both.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class BcoPairLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
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
        return -nn.functional.logsigmoid(divergence.Score(pairs.ChosenRatios).Times(Beta))
            - nn.functional.logsigmoid(divergence.Score(pairs.RejectedRatios).Times(-Beta));
    }
}
