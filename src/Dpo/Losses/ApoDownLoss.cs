using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>apo_down</c>: σ(βr_w) + 1 − σ(βΔ), Anchored Preference Optimization (D'Oosterlinck et al. 2024) for data whose chosen
/// completions are worse than the model: lowers both, the rejected ones more.
/// </summary>
/// <param name="beta">β &gt; 0.</param>
/// <param name="divergence">s = f(r) in Δ; reverse KL, s = r, by default. The first term is of r, as in TRL.</param>
public sealed class ApoDownLoss(double beta = 0.1, FDivergence? divergence = null) : PairLoss
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
        return pairs.ChosenRatios.Times(Beta).sigmoid().Plus(margins.Times(-Beta).sigmoid());
    }
}
