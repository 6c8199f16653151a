using Dpo.Batching;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>A loss of your own of pairs of a chosen and a rejected completion: two members. A batch's loss is the mean over its
/// pairs.</summary>
/// <example>
/// <code>
/// sealed class SquaredHinge(double beta) : PairLoss
/// {
///     public override double Beta => beta;
///     public override Tensor Losses(PairLogProbs pairs) => pairs.Margins.Times(Beta).OneMinus().relu().Squared();
/// }
/// </code>
/// </example>
public abstract class PairLoss : PreferenceLoss, IPairLoss
{
    /// <inheritdoc/>
    public abstract double Beta { get; }

    /// <inheritdoc/>
    public abstract Tensor Losses(PairLogProbs pairs);

    /// <inheritdoc/>
    public virtual PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.Pairs();
    }

    /// <inheritdoc/>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch) => ShareOf(this, part, batch);

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part) => RewardsOf(this, part);

    /// <summary>A part's share of the mean over a batch's pairs.</summary>
    internal static Tensor ShareOf(IPairLoss loss, PreferenceLogProbs part, PreferenceCounts batch) => batch.Pairs > 0
        ? loss.Losses(loss.PairsOf(part)).sum().DividedBy(batch.Pairs)
        : throw new InvalidInputException(
            "A batch holds no pair of a chosen and a rejected completion, so a loss of pairs has nothing to learn from it; " +
            "labelled completions are what the loss 'kto' takes, and SftTrainer trains on completions alone.");

    /// <summary>β times what a completion is more likely than under the reference, or, without one, its log-probability per
    /// token.</summary>
    internal static Tensor RewardsOf(IPairLoss loss, PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return (loss.UsesReference ? part.LogRatios : part.Policy.Sums / part.Policy.Counts).Times(loss.Beta).detach();
    }
}
