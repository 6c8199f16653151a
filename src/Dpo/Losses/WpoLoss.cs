using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// WPO (Zhou et al. 2024, Eq. 2; TRL's <c>use_weighting</c>): weights every pair by how likely the policy itself is to say its
/// completions, so that data of other models count as if they were its own. Any loss of pairs takes its place inside.
/// </summary>
/// <remarks>
/// The weight is min(1, w(chosen)·w(rejected)), detached, where w is the exponential of the mean over a completion's tokens of
/// log π(y_t) − log Σ_v π(v)²: a token's probability against that which a token drawn from the policy has on average.
/// </remarks>
/// <param name="loss">The loss whose pairs are weighted; one that couples the batch has no loss of a single pair, and is
/// refused.</param>
public sealed class WpoLoss(IPairLoss loss) : PairLoss
{
    private readonly IPairLoss loss = loss is { IsBatchCoupled: true }
        ? throw new ArgumentException(
            $"{loss.GetType().Name} takes the batch as a whole, so its losses belong to no pair that could be weighted.",
            nameof(loss))
        : loss;

    /// <inheritdoc/>
    public override double Beta => loss.Beta;

    /// <inheritdoc/>
    public override bool UsesReference => loss.UsesReference;

    /// <inheritdoc/>
    public override LogProbsRequest Needs => loss.Needs.And(new() { LogSquaredProbs = true });

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(this, ("loss", loss));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return loss.Losses(pairs)
            * (pairs.Weights ?? throw new InvalidOperationException("The pairs carry no weights; take them from PairsOf."));
    }

    /// <inheritdoc/>
    public override PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var policy = part.Policy;
        var likelihoods = policy.PerToken.detach() - (policy.LogSquaredProbs ?? throw new InvalidOperationException(
            "WPO needs the policy's LogSquaredProbs; ask CompletionLogProbs.Compute for them."));
        var means = new CompletionLogProbs(likelihoods, policy.Offsets).Sums / policy.Counts;
        var weights = means.index_select(0, part.Preferences.Chosen).Plus(means.index_select(0, part.Preferences.Rejected));
        return loss.PairsOf(part) with { Weights = weights.exp().AtMost(1) };
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part) => loss.Rewards(part);

    /// <inheritdoc/>
    public override void Reach(int stepsMade, int totalSteps) => loss.Reach(stepsMade, totalSteps);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> State() => loss.State();

    /// <inheritdoc/>
    public override void LoadState(IEnumerable<(string Name, Tensor Tensor)> state) => loss.LoadState(state);
}
