using Dpo.Models.Architectures;
using Dpo.Models.Attentions;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Self-attention with rotary positions: an architecture says how queries, keys and values come of the hidden states.</summary>
internal abstract class SelfAttention : nn.Module
{
    private readonly int layer;
    private readonly AttentionStyle style;

    protected SelfAttention(DecoderConfig config, int layer)
        : base("self_attn")
    {
        this.layer = layer;
        style = config.AttentionStyle(layer);
    }

    /// <summary>Maps normalized hidden states <c>[N, D]</c> to what attention adds to them.</summary>
    public abstract Tensor Forward(Tensor x, Rotation rotation, Attention attention);

    /// <summary>Turns queries <c>[N, heads, head size]</c> and keys <c>[N, kv heads, head size]</c> by their positions and attends
    /// in the values' precision; answers with <c>[N, heads · head size]</c>.</summary>
    protected Tensor Attend(Tensor query, Tensor key, Tensor value, Rotation rotation, Attention attention) =>
        attention.Attend(layer, rotation.Apply(query, value.dtype), rotation.Apply(key, value.dtype), value, style);
}

/// <summary>Attention with a projection each for queries, keys and values, of which keys and values may have fewer heads.</summary>
internal sealed class GroupedQueryAttention : SelfAttention
{
    private readonly LinearLayer q_proj;
    private readonly LinearLayer k_proj;
    private readonly LinearLayer v_proj;
    private readonly LinearLayer o_proj;
    private readonly RmsNorm? q_norm;
    private readonly RmsNorm? k_norm;
    private readonly int headSize;

    /// <summary>Makes the layers of block <paramref name="layer"/>.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="layer">The block's index, from 0.</param>
    /// <param name="inputBias">Whether queries, keys and values have a bias.</param>
    /// <param name="outputBias">Whether the output has one.</param>
    /// <param name="normalized">Whether every head of queries and keys is normalized before it is turned (Qwen 3).</param>
    public GroupedQueryAttention(DecoderConfig config, int layer, bool inputBias = false, bool outputBias = false, bool normalized = false)
        : base(config, layer)
    {
        headSize = config.HeadSize;
        q_proj = new LinearLayer(config.HiddenSize, config.HeadCount * headSize, inputBias);
        k_proj = new LinearLayer(config.HiddenSize, config.KeyValueHeadCount * headSize, inputBias);
        v_proj = new LinearLayer(config.HiddenSize, config.KeyValueHeadCount * headSize, inputBias);
        o_proj = new LinearLayer(config.HeadCount * headSize, config.HiddenSize, outputBias);
        if (normalized)
        {
            q_norm = new RmsNorm(headSize, config.NormEpsilon);
            k_norm = new RmsNorm(headSize, config.NormEpsilon);
        }
        RegisterComponents();
    }

    public override Tensor Forward(Tensor x, Rotation rotation, Attention attention)
    {
        var (query, key, value) = (Heads(q_proj), Heads(k_proj), Heads(v_proj));
        if (q_norm is not null && k_norm is not null)
            (query, key) = (q_norm.Forward(query), k_norm.Forward(key));
        return o_proj.Forward(Attend(query, key, value, rotation, attention));

        Tensor Heads(LinearLayer projection) => projection.Forward(x).unflatten(1, -1, headSize);
    }
}
