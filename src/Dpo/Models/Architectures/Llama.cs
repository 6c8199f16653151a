namespace Dpo.Models.Architectures;

/// <summary>Llama 1 to 3 (Touvron et al. 2023, Grattafiori et al. 2024): the decoder that the others here vary.</summary>
public sealed class Llama : RotaryDecoder
{
    /// <summary>Creates the model with weights drawn as transformers draws them: normal with deviation 0.02, norms at
    /// one.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="seed">Seeds the weights, by a generator of its own.</param>
    public Llama(LlamaConfig config, int seed = 0)
        : this(config?.ToModelConfig() ?? throw new ArgumentNullException(nameof(config)))
    {
        DrawWeights(seed);
    }

    /// <summary>Creates the model of a file, with weights that are still to be filled.</summary>
    internal Llama(ModelConfig file)
        : this(file, Read(file))
    {
    }

    private Llama(ModelConfig file, DecoderConfig config)
        : base(nameof(Llama), file, config, layer => new PreNormBlock(
            config,
            config.SelfAttention(layer, file.Bool("attention_bias", false), file.Bool("attention_bias", false)),
            config.Mlp(file.Bool("mlp_bias", false))))
    {
    }

    private static DecoderConfig Read(ModelConfig file)
    {
        file.OneOf("hidden_act", "silu", "silu");
        if (file.Int("pretraining_tp", 1) != 1)
            throw file.Wrong("pretraining_tp", "Dpo implements 1 for llama");
        return DecoderConfig.From(file);
    }
}
