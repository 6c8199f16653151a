namespace Dpo.Models.Architectures;

/// <summary>The shape of a GPT-J model, as its <c>config.json</c> says it.</summary>
internal sealed record GptJConfig
{
    public required int VocabularySize { get; init; }

    public required int MaxPositions { get; init; }

    public required int HiddenSize { get; init; }

    public required int LayerCount { get; init; }

    public required int HeadCount { get; init; }

    /// <summary>How many entries of a head are turned by its position, from the first on.</summary>
    public required int RotarySize { get; init; }

    public required int InnerSize { get; init; }

    public required double LayerNormEpsilon { get; init; }

    /// <summary>Reads the fields and refuses what <see cref="GptJ"/> does not compute.</summary>
    public static GptJConfig From(ModelConfig config)
    {
        config.OneOf("activation_function", "gelu_new", "gelu_new", "gelu_pytorch_tanh");
        config.Require("tie_word_embeddings", false);
        config.Require("add_cross_attention", false);
        var heads = config.Int("n_head");
        var hidden = config.Multiple("n_embd", of: "n_head");
        var rotary = config.Int("rotary_dim", 64);
        if (rotary % 2 != 0 || rotary > hidden / heads)
            throw config.Wrong("rotary_dim", $"it must be an even number up to the size of a head, {hidden / heads}");
        return new GptJConfig
        {
            VocabularySize = config.Int("vocab_size"),
            MaxPositions = config.Int("n_positions"),
            HiddenSize = hidden,
            LayerCount = config.Layers("n_layer"),
            HeadCount = heads,
            RotarySize = rotary,
            InnerSize = config.Int("n_inner", 4 * hidden),
            LayerNormEpsilon = config.Double("layer_norm_epsilon", 1e-5),
        };
    }
}
