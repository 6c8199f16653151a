using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>The last linear layer of a language model, from hidden states to logits over the vocabulary.</summary>
/// <param name="Weight"><c>[V, D]</c>; null where the hidden states are the logits already.</param>
/// <param name="Bias"><c>[V]</c> (GPT-J), or null.</param>
/// <param name="SoftCap">Logits x become cap·tanh(x / cap) (Gemma 2); null for none.</param>
public sealed record OutputHead(Tensor? Weight, Tensor? Bias = null, double? SoftCap = null)
{
    /// <summary>Further columns of the weight, <c>[V, r]</c>, a LoRA adapter's B; the model's hidden states have as many further
    /// entries, for them. Null without an adapter over the head.</summary>
    public Tensor? LowRank { get; init; }

    /// <summary>The logits <c>[R, V]</c> of hidden states <c>[R, D]</c>, in the hidden states' precision.</summary>
    public Tensor Logits(Tensor hidden) => Weight is null
        ? hidden
        : Cap(nn.functional.linear(hidden, Columns(weight => weight, hidden.dtype), Bias?.to(hidden.dtype)));

    /// <summary>Rows of the weight in a type, with those of <see cref="LowRank"/> behind them.</summary>
    /// <param name="rows">Takes the rows out of either.</param>
    /// <param name="dtype">The type.</param>
    internal Tensor Columns(Func<Tensor, Tensor> rows, ScalarType dtype) => LowRank is null
        ? rows(Weight!).to(dtype)
        : cat([rows(Weight!).to(dtype), rows(LowRank).to(dtype)], 1);

    /// <summary>Applies the soft cap.</summary>
    internal Tensor Cap(Tensor logits) => SoftCap is { } cap ? logits.DividedBy(cap).tanh().Times(cap) : logits;

    /// <summary>How fast a capped logit grows with the logit before the cap, 1 − (x / cap)²; null where there is no
    /// cap.</summary>
    internal Tensor? Slope(Tensor capped)
    {
        if (SoftCap is not { } cap)
            return null;
        // As large as the logits, and so in place.
        var shares = capped.DividedBy(cap);
        return shares.mul_(shares).neg_().AddInPlace(1.0);
    }
}
