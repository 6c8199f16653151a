namespace Dpo.Models.Architectures;

/// <summary>Mistral (Jiang et al. 2023): Llama without biases, every layer behind a sliding window where the file names
/// one.</summary>
public sealed class Mistral : RotaryDecoder
{
    internal Mistral(ModelConfig file)
        : this(file, Read(file))
    {
    }

    private Mistral(ModelConfig file, DecoderConfig config)
        : base(nameof(Mistral), file, config, layer => new PreNormBlock(config, config.SelfAttention(layer), config.Mlp()))
    {
    }

    private static DecoderConfig Read(ModelConfig file)
    {
        file.OneOf("hidden_act", "silu", "silu");
        return DecoderConfig.From(file, SlidingWindows.OfAll(file));
    }
}
