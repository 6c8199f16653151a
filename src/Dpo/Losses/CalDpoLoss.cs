using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>cal_dpo</c>: −ls(r_w − r_l) + w[(r_w − 1/(2β))² + (r_l + 1/(2β))²], calibrated DPO (Xiao et al. 2024): beside the order of
/// two completions the size of each one's reward is trained, so that the chosen one's likelihood rises instead of falling more
/// slowly.
/// </summary>
/// <remarks>β sets how far log-ratios are to go, ±1/(2β), and is not in the sigmoid. For tasks of reasoning, where the chosen
/// completion is to be kept.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="weight">w ≥ 0: the weight of the calibration; ½ is the authors' code's, the paper has 1.</param>
public sealed class CalDpoLoss(double beta = 0.1, double weight = 0.5) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>w.</summary>
    public double Weight { get; } = LossArgument.AtLeast0(weight, "w", nameof(weight));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var target = 1 / (2 * Beta);
        var calibration = pairs.ChosenRatios.Minus(target).Squared().Plus(pairs.RejectedRatios.Plus(target).Squared());
        return calibration.Times(Weight) - nn.functional.logsigmoid(pairs.Margins);
    }
}
