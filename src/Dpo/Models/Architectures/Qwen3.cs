namespace Dpo.Models.Architectures;

/// <summary>Qwen 3 (Yang et al. 2025): Llama with every head of queries and keys normalized; the upper layers may have a sliding
/// window.</summary>
public sealed class Qwen3 : RotaryDecoder
{
    internal Qwen3(ModelConfig file)
        : this(file, Read(file))
    {
    }

    private Qwen3(ModelConfig file, DecoderConfig config)
        : base(nameof(Qwen3), file, config, layer => new PreNormBlock(
            config,
            config.SelfAttention(layer, file.Bool("attention_bias", false), file.Bool("attention_bias", false), normalized: true),
            config.Mlp()))
    {
    }

    private static DecoderConfig Read(ModelConfig file)
    {
        file.OneOf("hidden_act", "silu", "silu");
        return DecoderConfig.From(file, SlidingWindows.OfUpper(file));
    }
}
