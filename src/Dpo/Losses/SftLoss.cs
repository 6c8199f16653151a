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
public sealed class SftLoss : PreferenceLoss
{
    /// <inheritdoc/>
    public override bool UsesReference => false;

    /// <inheritdoc/>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch)
    {
        ArgumentNullException.ThrowIfNull(part);
        return batch.Pairs > 0
            ? -part.Policy.Sums.index_select(0, part.Preferences.Chosen).sum().DividedBy(batch.ChosenTokens)
            : throw new InvalidInputException(
                "A batch holds no chosen completion for the SFT term; SftTrainer trains on completions alone.");
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.Policy.Sums.detach();
    }
}
