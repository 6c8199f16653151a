using static TorchSharp.torch;

namespace Dpo.Training.Checkpointing;

/// <summary>What has tensors that steps change, beside the model's and the optimizer's, such as a reference that moves.</summary>
internal interface IRestorable
{
    /// <summary>The tensors by name, on any device; none where nothing has changed yet. They are read at once, and stay their
    /// owner's.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State();

    /// <summary>Takes over what <see cref="State"/> gave.</summary>
    /// <param name="state">Is walked once and to be copied from; tensors are on the CPU and are disposed when the next one is
    /// asked for.</param>
    /// <exception cref="InvalidInputException">It does not fit.</exception>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state);
}
