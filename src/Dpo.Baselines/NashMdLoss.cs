using Dpo.Losses;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>
/// Nash-MD's policy gradient (Munos et al. 2023): −(P − ½ − τ·(log π(y|x) − log π_ref(y|x))) · log π(y|x), without a gradient
/// through what is in brackets. P is the probability that the policy's own completion y is preferred to one of the mixture. The
/// policy comes to the equilibrium π ∝ π_ref · exp(P(y ≻ mixture) / τ).
/// </summary>
/// <remarks>
/// <para>Goes with <see cref="MixtureSampler"/> and <see cref="PairMaking.OwnAgainstOther"/>: of a pair the "chosen" completion
/// is the policy's own, whichever is better. P is σ(s_own − s_other) of their scores, as Bradley and Terry have it.</para>
/// <para>It is a gradient of what the policy is now: an update per round and one pass, <c>BatchSize</c> being the round's
/// pairs. The loss itself says nothing of how good the policy is.</para>
/// </remarks>
/// <param name="tau">τ above 0: how strongly the policy is held to the reference.</param>
public sealed class NashMdLoss(double tau = 0.1) : PairLoss
{
    /// <summary>τ.</summary>
    public override double Beta { get; } = LossArgument.Above0(tau, "τ", nameof(tau));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var gaps = pairs.ScoreGaps ?? throw new InvalidInputException(
            "Nash-MD learns by the scores of a pair's completions, and a batch has examples without; make them by " +
            "PairMaking.OwnAgainstOther.");
        var advantages = gaps.sigmoid().Minus(0.5) - pairs.ChosenRatios.detach().Times(Beta);
        return -(advantages * pairs.PolicyChosen);
    }
}
