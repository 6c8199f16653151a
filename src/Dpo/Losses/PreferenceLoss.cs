using Dpo.Batching;
using Dpo.LogProbs;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>A loss of your own on preferences, whatever they are: two methods. It compares the policy with the reference, does
/// not couple its batch and needs nothing beside log-probabilities, unless it says otherwise. A loss of pairs is a
/// <see cref="PairLoss"/>.</summary>
public abstract class PreferenceLoss : IPreferenceLoss
{
    /// <inheritdoc/>
    public virtual bool UsesReference => true;

    /// <inheritdoc/>
    public virtual bool IsBatchCoupled => false;

    /// <inheritdoc/>
    public virtual LogProbsRequest Needs => LogProbsRequest.None;

    /// <summary>The class's name with its public properties that are numbers, texts, divergences, losses, or lists of them:
    /// <c>SquaredHinge(Beta=0.1)</c>. A loss with a number that no public property tells, or with properties that are none of
    /// its numbers, says itself what it is.</summary>
    public virtual string Description => LossDescription.OfProperties(this);

    /// <inheritdoc/>
    public abstract Tensor Share(PreferenceLogProbs part, PreferenceCounts batch);

    /// <inheritdoc/>
    public abstract Tensor Rewards(PreferenceLogProbs part);

    /// <inheritdoc/>
    public virtual void Reach(int stepsMade, int totalSteps)
    {
    }

    /// <inheritdoc/>
    public virtual IEnumerable<(string Name, Tensor Tensor)> State() => [];

    /// <inheritdoc/>
    public virtual void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
    }
}
