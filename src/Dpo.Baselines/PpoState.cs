using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>What PPO's rounds change beside weights and optimizer, for checkpoints.</summary>
internal sealed class PpoState(KlControl control, CompletionWorth worth) : IRestorable
{
    /// <inheritdoc/>
    public IEnumerable<(string Name, Tensor Tensor)> State() => control.State().Concat(worth.State());

    /// <inheritdoc/>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        // It is walked once, and its tensors last as long as one is looked at.
        (string, Tensor)[] kept = [.. state.Select(named => (named.Name, named.Tensor.clone()))];
        control.LoadState(kept);
        worth.LoadState(kept);
    }
}
