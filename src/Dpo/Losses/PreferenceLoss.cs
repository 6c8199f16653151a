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

    /// <inheritdoc/>
    public abstract Tensor Share(PreferenceLogProbs part, PreferenceCounts batch);

    /// <inheritdoc/>
    public abstract Tensor Rewards(PreferenceLogProbs part);
}
