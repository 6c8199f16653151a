using Dpo.Models.Layers;

namespace Dpo.Models.Architectures;

/// <summary>The shape of a GPT-NeoX model, as its <c>config.json</c> says it.</summary>
internal sealed record GptNeoXConfig
{
    private const string ExactGelu = "gelu";

    public required int VocabularySize { get; init; }

    public required int MaxPositions { get; init; }

    public required int HiddenSize { get; init; }

    public required int LayerCount { get; init; }

    public required int HeadCount { get; init; }

    public required int InnerSize { get; init; }

    public required double LayerNormEpsilon { get; init; }

    public required RotaryEmbedding Rotary { get; init; }

    /// <summary>Whether attention and feed-forward layer both start from a block's input; else the one follows the
    /// other.</summary>
    public required bool ParallelResidual { get; init; }

    /// <summary>Whether GELU is computed through tanh, as 20B was trained, instead of exactly, as Pythia.</summary>
    public required bool ApproximateGelu { get; init; }

    public required bool AttentionBias { get; init; }

    /// <summary>Whether the output head is the token embedding.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>Reads the fields and refuses what <see cref="GptNeoX"/> does not compute.</summary>
    public static GptNeoXConfig From(ModelConfig config)
    {
        var heads = config.Int("num_attention_heads");
        var hidden = config.Multiple("hidden_size", of: "num_attention_heads");
        var share = config.Has("partial_rotary_factor") ? "partial_rotary_factor" : "rotary_pct";
        return new GptNeoXConfig
        {
            VocabularySize = config.Int("vocab_size"),
            MaxPositions = config.Int("max_position_embeddings"),
            HiddenSize = hidden,
            LayerCount = config.Layers("num_hidden_layers"),
            HeadCount = heads,
            InnerSize = config.Int("intermediate_size"),
            LayerNormEpsilon = config.Double("layer_norm_eps", 1e-5),
            Rotary = new RotaryEmbedding(
                RotaryFields.Size(config, hidden / heads, share, fallback: 0.25),
                RotaryFields.Parameters(config, config.Has("rotary_emb_base") ? "rotary_emb_base" : "rope_theta")),
            ParallelResidual = config.Bool("use_parallel_residual", true),
            ApproximateGelu =
                config.OneOf("hidden_act", ExactGelu, ExactGelu, "gelu_new", "gelu_fast", "gelu_pytorch_tanh") != ExactGelu,
            AttentionBias = config.Bool("attention_bias", true),
            TieWordEmbeddings = config.Bool("tie_word_embeddings", false),
        };
    }
}
