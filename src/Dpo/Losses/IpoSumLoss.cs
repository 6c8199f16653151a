using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// IPO on sums: (r_w − r_l − 1/(2β))², Identity Preference Optimization (Azar et al. 2024, Eq. 17) on the log-probabilities of
/// whole completions, as the DPO paper's code and OpenRLHF compute it.
/// </summary>
/// <remarks>TRL's <c>ipo</c> takes means over tokens: <see cref="IpoLoss"/>.</remarks>
/// <param name="beta">β &gt; 0 (τ in the paper).</param>
/// <param name="referenceFree">Whether r is log π alone, as the DPO paper's code offers; rewards are measured against the
/// reference still.</param>
public sealed class IpoSumLoss(double beta = 0.1, bool referenceFree = false) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(this, ("Beta", Beta), ("referenceFree", referenceFree));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = referenceFree ? pairs.PolicyChosen - pairs.PolicyRejected : pairs.Margins;
        return margins.Minus(1 / (2 * Beta)).Squared();
    }
}
