using Dpo.Batching;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>sft</c>: the mean cross-entropy of a token of the chosen completions. Beside another loss (<see cref="CombinedLoss"/>) it
/// keeps the chosen completions likely (the "RPO" term of Pang et al. 2024); <c>SftTrainer</c> trains on it alone.
/// </summary>
/// <remarks>The mean is over all tokens of the batch's chosen completions, as TRL takes it. The reported rewards are the
/// log-probabilities.</remarks>
/// <param name="perCompletion"><c>sft_norm</c>: takes the mean over each chosen completion's tokens first, and then over pairs,
/// as iterative RPO's paper has it (Pang et al. 2024, Eq. 1): a short completion counts as much as a long one.</param>
public sealed class SftLoss(bool perCompletion = false) : PreferenceLoss
{
    /// <summary>Whether completions count alike, and not their tokens.</summary>
    public bool PerCompletion { get; } = perCompletion;

    /// <inheritdoc/>
    public override bool UsesReference => false;

    // The usual one is known to checkpoints from before there was the other.
    /// <inheritdoc/>
    public override string Description => LossDescription.Of(
        this, PerCompletion ? [(nameof(PerCompletion), PerCompletion)] : Array.Empty<(string, object?)>());

    /// <inheritdoc/>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch)
    {
        ArgumentNullException.ThrowIfNull(part);
        if (batch.Pairs == 0)
            throw new InvalidInputException(
                "A batch holds no chosen completion for the SFT term; SftTrainer trains on completions alone.");
        var policy = part.Policy;
        var (values, count) = PerCompletion ? (policy.Sums / policy.Counts, batch.Pairs) : (policy.Sums, batch.ChosenTokens);
        return -values.index_select(0, part.Preferences.Chosen).sum().DividedBy(count);
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.Policy.Sums.detach();
    }
}
