using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>What an <see cref="optim.Optimizer"/> of your own implements so that runs with it can have checkpoints: its state
/// goes into each of them, and comes back where a run is resumed. <see cref="RmsProp"/> and <see cref="FusedAdamW"/>
/// do.</summary>
public interface IRestorableOptimizer
{
    /// <summary>The state, in a form that a safetensors file can hold. Empty before the first step.</summary>
    /// <returns>Tensors under names of their own, on any device. They are read at once, and stay the optimizer's.</returns>
    public IEnumerable<(string Name, Tensor Tensor)> State();

    /// <summary>Takes over a state that <see cref="State"/> gave, for the same parameters.</summary>
    /// <param name="state">Is walked once and to be copied from; tensors are on the CPU and may be disposed as soon as the next
    /// one is asked for.</param>
    /// <exception cref="InvalidInputException">It does not fit; the optimizer is to be left as it was.</exception>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state);
}
