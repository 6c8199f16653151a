using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>apo_zero</c>: 1 − σ(βr_w) + σ(βr_l), Anchored Preference Optimization (D'Oosterlinck et al. 2024) for data whose chosen
/// completions are better than the model: raises them and lowers the rejected ones.
/// </summary>
/// <param name="beta">β &gt; 0.</param>
public sealed class ApoZeroLoss(double beta = 0.1) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        // 1 − σ(x) = σ(−x), without the cancellation.
        return pairs.ChosenRatios.Times(-Beta).sigmoid().Plus(pairs.RejectedRatios.Times(Beta).sigmoid());
    }
}
