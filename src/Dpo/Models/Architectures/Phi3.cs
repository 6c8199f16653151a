using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>Phi-3 (Abdin et al. 2024): Llama with one projection for queries, keys and values and one for gate and up; a share of
/// every head may be turned only.</summary>
public sealed class Phi3 : RotaryDecoder
{
    internal Phi3(ModelConfig file)
        : this(file, Read(file))
    {
    }

    private Phi3(ModelConfig file, DecoderConfig config)
        : base(
            nameof(Phi3), file, config, layer => new PreNormBlock(config, new Phi3Attention(config, layer), new Phi3Mlp(config)))
    {
    }

    private static DecoderConfig Read(ModelConfig file)
    {
        file.OneOf("hidden_act", "silu", "silu");
        return DecoderConfig.From(file, SlidingWindows.OfAll(file));
    }
}

internal sealed class Phi3Attention : SelfAttention
{
    private readonly LinearLayer qkv_proj;
    private readonly LinearLayer o_proj;
    private readonly long[] parts;
    private readonly int headSize;

    public Phi3Attention(DecoderConfig config, int layer)
        : base(layer, config.AttentionStyle(layer))
    {
        headSize = config.HeadSize;
        parts = [config.HeadCount, config.KeyValueHeadCount, config.KeyValueHeadCount];
        qkv_proj = new LinearLayer(
            config.HiddenSize, (config.HeadCount + 2 * config.KeyValueHeadCount) * headSize, hasBias: false);
        o_proj = new LinearLayer(config.HeadCount * headSize, config.HiddenSize, hasBias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Rotation rotation, Attention attention)
    {
        var projected = qkv_proj.call(x).unflatten(1, -1, headSize).split(parts, 1);
        return o_proj.call(Attend(query: projected[0], key: projected[1], value: projected[2], rotation, attention));
    }
}

internal sealed class Phi3Mlp : nn.Module<Tensor, Tensor>
{
    private readonly LinearLayer gate_up_proj;
    private readonly LinearLayer down_proj;
    private readonly int inner;

    public Phi3Mlp(DecoderConfig config)
        : base("mlp")
    {
        inner = config.InnerSize;
        gate_up_proj = new LinearLayer(config.HiddenSize, 2 * inner, hasBias: false);
        down_proj = new LinearLayer(inner, config.HiddenSize, hasBias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x)
    {
        var parts = gate_up_proj.call(x).split(inner, 1);
        return down_proj.call(nn.functional.silu(parts[0]) * parts[1]);
    }
}
