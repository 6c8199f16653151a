using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>dpop</c>: −ls(β(Δ − λ max(0, −r_w))), DPO-Positive (Pal et al. 2024, "Smaug", Eq. 3): a chosen completion that has become
/// less likely than under the reference counts against the margin.
/// </summary>
/// <remarks>For pairs that differ in few tokens, where DPO makes both completions unlikely.</remarks>
/// <param name="beta">β &gt; 0; the paper takes 0.3.</param>
/// <param name="lambda">λ ≥ 0; the paper takes 5, 50 and 500. At 0 it is <see cref="DpoLoss"/>.</param>
public sealed class DpopLoss(double beta = 0.1, double lambda = 50) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>λ.</summary>
    public double Lambda { get; } = LossArgument.AtLeast0(lambda, "λ", nameof(lambda));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        // relu has gradient 0 at the tie, where all training begins: the first step is DPO's.
        var fall = (-pairs.ChosenRatios).relu();
        return -nn.functional.logsigmoid((pairs.Margins - fall.Times(Lambda)).Times(Beta));
    }
}
