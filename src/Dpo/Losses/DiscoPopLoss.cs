using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>discopop</c>: with z = βΔ and m = σ(z/τ), (1−m)·(−ls z) + m·exp(−z), the log-ratio modulated loss that a language model
/// found (Lu et al. 2024): logistic where the policy prefers the rejected completion, exponential where the chosen one.
/// </summary>
/// <param name="beta">β &gt; 0.</param>
/// <param name="temperature">τ &gt; 0: how sharply the loss turns from one form into the other; 0.05 in the paper.</param>
/// <param name="divergence">s = f(r); reverse KL, s = r, by default.</param>
public sealed class DiscoPopLoss(double beta = 0.1, double temperature = 0.05, FDivergence? divergence = null) : PairLoss
{
    private readonly FDivergence divergence = divergence ?? FDivergence.ReverseKl;

    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>τ.</summary>
    public double Temperature { get; } = temperature > 0 && double.IsFinite(temperature)
        ? temperature
        : throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "τ must be a number above 0.");

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(
        this, ("Beta", Beta), ("Temperature", Temperature), ("divergence", divergence));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = (divergence.Score(pairs.ChosenRatios) - divergence.Score(pairs.RejectedRatios)).Times(Beta);
        var modulation = margins.DividedBy(Temperature);
        // m·exp(−z) in one exponent: apart, exp(−z) overflows where m vanishes.
        return (nn.functional.logsigmoid(modulation) - margins).exp()
            - (-modulation).sigmoid() * nn.functional.logsigmoid(margins);
    }
}
