using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>dpo_shift</c>: −ls(β(r_w − f·r_l)), DPO-Shift (Yang et al. 2025): with f below 1 the rejected completion counts for less,
/// so that the chosen one's likelihood falls less, for some of the margin.
/// </summary>
/// <remarks>f is the same in all steps, or goes in a straight line from its first value to its last over the run
/// (<see cref="Reach"/>); held-out data are measured with the f that the next step has. For when the likelihood of chosen
/// completions falls too far.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="shift">f in (0, 1], at the beginning; the authors take 0.5 to 0.95. At 1 it is <see cref="DpoLoss"/>.</param>
/// <param name="lastShift">f in (0, 1] at the end of the run; null for the one at the beginning.</param>
public sealed class DpoShiftLoss(double beta = 0.1, double shift = 0.95, double? lastShift = null) : PairLoss
{
    // How far the run is is no number of the loss: it is told anew when a run goes on.
    private double progress;

    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>f at the beginning.</summary>
    public double Shift { get; } = InRange(shift, nameof(shift));

    /// <summary>f at the end; null for the one at the beginning.</summary>
    public double? LastShift { get; } = lastShift is { } last ? InRange(last, nameof(lastShift)) : null;

    /// <inheritdoc/>
    public override void Reach(int stepsMade, int totalSteps) => progress = (double)stepsMade / Math.Max(1, totalSteps);

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var now = Shift + ((LastShift ?? Shift) - Shift) * progress;
        return -nn.functional.logsigmoid((pairs.ChosenRatios - pairs.RejectedRatios.Times(now)).Times(Beta));
    }

    private static double InRange(double value, string name) => value is > 0 and <= 1
        ? value
        : throw new ArgumentOutOfRangeException(name, value, "The shift must lie in (0, 1].");
}
