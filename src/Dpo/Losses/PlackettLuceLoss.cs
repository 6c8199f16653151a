using Dpo.Batching;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// DPO on rankings of K completions (the DPO paper, Eq. 20): −Σ_k [βr_τ(k) − log Σ_{j≥k} exp(βr_τ(j))], the negative
/// log-likelihood under the Plackett–Luce model that the best is picked first, then the best of the rest, and so on. With
/// K = 2 it is <see cref="DpoLoss"/>.
/// </summary>
/// <remarks>A batch's loss is the mean over its rankings (<see cref="TokenizedExample.Ranking"/>), which may differ in
/// K.</remarks>
/// <param name="beta">β &gt; 0.</param>
public sealed class PlackettLuceLoss(double beta = 0.1) : PreferenceLoss
{
    /// <summary>β: what log-ratios are multiplied by to be rewards.</summary>
    public double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>The loss of rankings of one K.</summary>
    /// <param name="logRatios">log π − log π_ref of the ranked completions, the best first, <c>[R, K]</c>.</param>
    /// <returns><c>[R]</c>, not reduced, with its graph.</returns>
    public Tensor Losses(Tensor logRatios)
    {
        ArgumentNullException.ThrowIfNull(logRatios);
        var rewards = logRatios.Times(Beta);
        // Sums over j ≥ k are running sums from the end.
        return (rewards.flip(1).logcumsumexp(1).flip(1) - rewards).sum(1);
    }

    /// <inheritdoc/>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch)
    {
        ArgumentNullException.ThrowIfNull(part);
        if (batch.Rankings == 0)
            throw new InvalidInputException(
                "A batch holds no ranking, so Plackett–Luce has nothing to learn from it; " +
                "give 'ranking' or 'scores' in every row.");
        var ratios = part.LogRatios;
        return part.Preferences.Rankings.Aggregate(
            zeros_like(ratios).sum(),
            (sum, rankings) => sum.Plus(Losses(ratios.index_select(0, rankings.flatten()).view_as(rankings)).sum()))
            .DividedBy(batch.Rankings);
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.LogRatios.Times(Beta).detach();
    }
}
