namespace Dpo.Models.Architectures;

/// <summary>Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on queries, keys and values; the upper layers may have a
/// sliding window.</summary>
public sealed class Qwen2 : RotaryDecoder
{
    internal Qwen2(ModelConfig file)
        : this(file, Read(file))
    {
    }

    private Qwen2(ModelConfig file, DecoderConfig config)
        : base(nameof(Qwen2), file, config, layer => new PreNormBlock(
            config, config.SelfAttention(layer, inputBias: true), config.Mlp()))
    {
    }

    private static DecoderConfig Read(ModelConfig file)
    {
        file.OneOf("hidden_act", "silu", "silu");
        return DecoderConfig.From(file, SlidingWindows.OfUpper(file));
    }
}
