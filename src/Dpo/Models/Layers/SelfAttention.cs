using Dpo.Models.Attentions;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Self-attention with rotary positions: a subclass says how queries, keys and values come of the hidden
/// states.</summary>
public abstract class SelfAttention : nn.Module<Tensor, Rotation, Attention, Tensor>
{
    private readonly int layer;
    private readonly AttentionStyle style;

    /// <summary>Makes the attention of a block.</summary>
    /// <param name="layer">The block's index, from 0.</param>
    /// <param name="style">What sets the block's attention apart from the plain kind.</param>
    protected SelfAttention(int layer, AttentionStyle style)
        : base("self_attn")
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        (this.layer, this.style) = (layer, style);
    }

    /// <summary>Maps normalized hidden states <c>[N, D]</c> to what attention adds to them, <c>[N, D]</c> of the same
    /// type.</summary>
    /// <param name="x">The hidden states, in the type that products are computed in.</param>
    /// <param name="rotation">The rotation by the tokens' positions.</param>
    /// <param name="attention">Who attends to whom.</param>
    public abstract override Tensor forward(Tensor x, Rotation rotation, Attention attention);

    /// <summary>Turns queries <c>[N, heads, head size]</c> and keys <c>[N, kv heads, head size]</c> by their positions and
    /// attends in the values' precision; answers with <c>[N, heads · head size]</c>.</summary>
    protected Tensor Attend(Tensor query, Tensor key, Tensor value, Rotation rotation, Attention attention) =>
        attention.Attend(layer, rotation.Apply(query, value.dtype), rotation.Apply(key, value.dtype), value, style);
}
