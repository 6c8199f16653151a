using System.Globalization;
using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>A weighted sum of losses, as TRL's <c>loss_type</c> with several names and <c>loss_weights</c>: <c>sigmoid</c> and
/// <c>sft</c> with weight 1 each, for instance. Each is averaged over what it is averaged over alone.</summary>
public sealed class CombinedLoss : PreferenceLoss
{
    /// <summary>Combines losses. The first one's rewards are reported.</summary>
    /// <param name="terms">Two or more losses, each with its weight, a finite number other than 0.</param>
    /// <exception cref="ArgumentException">There is but one, or a weight is 0 or not finite.</exception>
    public CombinedLoss(params IReadOnlyList<(IPreferenceLoss Loss, double Weight)> terms)
    {
        ArgumentNullException.ThrowIfNull(terms);
        if (terms.Count < 2)
            throw new ArgumentException("A combination needs at least two losses.", nameof(terms));
        if (terms.FirstOrDefault(term => term.Weight == 0 || !double.IsFinite(term.Weight)) is { Loss: { } loss })
            throw new ArgumentException(
                $"The weight of {loss.GetType().Name} must be a finite number other than 0.", nameof(terms));
        Terms = terms;
    }

    /// <summary>The losses and their weights.</summary>
    public IReadOnlyList<(IPreferenceLoss Loss, double Weight)> Terms { get; }

    /// <inheritdoc/>
    public override bool UsesReference => Terms.Any(term => term.Loss.UsesReference);

    /// <inheritdoc/>
    public override bool IsBatchCoupled => Terms.Any(term => term.Loss.IsBatchCoupled);

    /// <inheritdoc/>
    public override LogProbsRequest Needs => Terms.Aggregate(LogProbsRequest.None, (needs, term) => needs.And(term.Loss.Needs));

    /// <inheritdoc/>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch) =>
        Terms.Select(term => term.Loss.Share(part, batch).Times(term.Weight)).Aggregate((sum, share) => sum.Plus(share));

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part) => Terms[0].Loss.Rewards(part);

    /// <inheritdoc/>
    public override void Reach(int stepsMade, int totalSteps)
    {
        foreach (var (loss, _) in Terms)
            loss.Reach(stepsMade, totalSteps);
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> State() =>
        Terms.Index().SelectMany(term => term.Item.Loss.State().Select(own => ($"{term.Index}.{own.Name}", own.Tensor)));

    /// <inheritdoc/>
    public override void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        foreach (var own in state.GroupBy(named => named.Name.Split('.')[0]))
        {
            if (!int.TryParse(own.Key, CultureInfo.InvariantCulture, out var index) || index >= Terms.Count)
                throw new InvalidInputException($"The checkpoint has a state of a loss {own.Key}, and there are {Terms.Count}.");
            Terms[index].Loss.LoadState(own.Select(named => (named.Name[(own.Key.Length + 1)..], named.Tensor)));
        }
    }
}
