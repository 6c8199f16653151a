using static TorchSharp.torch;

namespace Dpo;

/// <summary>The last linear layer of a language model, from hidden states to logits over the vocabulary.</summary>
/// <param name="Weight"><c>[V, D]</c>; null where the hidden states are the logits already.</param>
/// <param name="Bias"><c>[V]</c>, or null.</param>
public sealed record OutputHead(Tensor? Weight, Tensor? Bias = null)
{
    /// <summary>The logits <c>[R, V]</c> of hidden states <c>[R, D]</c>, in the hidden states' precision.</summary>
    public Tensor Logits(Tensor hidden) => Weight is null
        ? hidden
        : nn.functional.linear(hidden, Weight.to(hidden.dtype), Bias?.to(hidden.dtype));
}
