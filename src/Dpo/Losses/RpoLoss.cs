using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>How <see cref="RpoLoss"/> measures the distance of the policy's rewards to the scores.</summary>
public enum RpoDistance
{
    /// <summary><c>rpo_sq</c>: (βΔ − g)².</summary>
    Squared,

    /// <summary><c>rpo_bwd_kl</c>: KL(σ(g) ‖ σ(βΔ)) of Bernoulli variables; DPO with soft labels, up to a constant.</summary>
    BackwardKl,

    /// <summary><c>rpo_fwd_kl</c>: KL(σ(βΔ) ‖ σ(g)).</summary>
    ForwardKl,
}

/// <summary>
/// Reward-aware Preference Optimization (NVIDIA, Nemotron-4 340B, 2024; NeMo-Aligner): the gap of rewards βΔ is drawn to
/// g = scale·(score_w − score_l), the gap of scores that the data carry, instead of growing without bound.
/// </summary>
/// <param name="beta">β &gt; 0.</param>
/// <param name="scale">What gaps of scores are multiplied by, above 0.</param>
/// <param name="distance">How far apart two gaps are.</param>
public sealed class RpoLoss(double beta = 0.1, double scale = 1, RpoDistance distance = RpoDistance.BackwardKl) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>What gaps of scores are multiplied by.</summary>
    public double Scale { get; } = scale > 0 && double.IsFinite(scale)
        ? scale
        : throw new ArgumentOutOfRangeException(nameof(scale), scale, "The scale of scores must be a number above 0.");

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(this, ("Beta", Beta), ("Scale", Scale), ("distance", distance));

    /// <inheritdoc/>
    /// <exception cref="InvalidInputException">The completions have no scores.</exception>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var scores = (pairs.ScoreGaps ?? throw new InvalidInputException(
            "RPO draws rewards to scores, and not every completion has one; " +
            "give 'score_chosen' and 'score_rejected' in every row, or take another loss.")).Times(Scale);
        var rewards = pairs.Margins.Times(Beta);
        return distance switch
        {
            RpoDistance.Squared => (rewards - scores).Squared(),
            RpoDistance.BackwardKl => BernoulliKl(scores, rewards),
            _ => BernoulliKl(rewards, scores),
        };
    }

    /// <summary>KL(σ(p) ‖ σ(q)) of logits.</summary>
    private static Tensor BernoulliKl(Tensor p, Tensor q) =>
        (p.sigmoid() * (nn.functional.logsigmoid(p) - nn.functional.logsigmoid(q)))
        .Plus((-p).sigmoid() * (nn.functional.logsigmoid(-p) - nn.functional.logsigmoid(-q)));
}
