namespace Dpo.Models.Architectures;

/// <summary>The shape of a GPT-2 model; the defaults are GPT-2 124M's.</summary>
public sealed record Gpt2Config
{
    /// <summary>Entries of the vocabulary (<c>vocab_size</c>).</summary>
    public int VocabularySize { get; init; } = 50257;

    /// <summary>Positions a sequence may have (<c>n_positions</c>).</summary>
    public int MaxPositions { get; init; } = 1024;

    /// <summary>Width of the hidden states (<c>n_embd</c>); a multiple of <see cref="HeadCount"/>.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Blocks (<c>n_layer</c>).</summary>
    public int LayerCount { get; init; } = 12;

    /// <summary>Attention heads of a block (<c>n_head</c>).</summary>
    public int HeadCount { get; init; } = 12;

    /// <summary>Width of the feed-forward layers (<c>n_inner</c>); four times the hidden size where null.</summary>
    public int? InnerSize { get; init; }

    /// <summary>What is added to the variance in layer norms (<c>layer_norm_epsilon</c>).</summary>
    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Whether the output head is the token embedding (<c>tie_word_embeddings</c>).</summary>
    public bool TieWordEmbeddings { get; init; } = true;

    /// <summary>The end-of-text token (<c>eos_token_id</c>), where there is one; written for other systems to read.</summary>
    public int? EndOfTextId { get; init; }

    /// <summary>Width of the feed-forward layers.</summary>
    internal int FeedForwardSize => InnerSize ?? 4 * HiddenSize;

    /// <summary>Width of a head.</summary>
    internal int HeadSize => HiddenSize / HeadCount;

    /// <summary>Reads the fields of a <c>config.json</c> and refuses what <see cref="Gpt2"/> does not compute.</summary>
    internal static Gpt2Config From(ModelConfig config)
    {
        config.Require("scale_attn_weights", true);
        config.Require("scale_attn_by_inverse_layer_idx", false);
        return ShapeOf(config, tied: config.Bool("tie_word_embeddings", true));
    }

    /// <summary>Reads the fields that GPT-2 and GPT-J name alike, and refuses what neither computes.</summary>
    /// <param name="config">The <c>config.json</c>.</param>
    /// <param name="tied">Whether the output head is the token embedding.</param>
    internal static Gpt2Config ShapeOf(ModelConfig config, bool tied)
    {
        config.OneOf("activation_function", "gelu_new", "gelu_new", "gelu_pytorch_tanh");
        config.Require("add_cross_attention", false);
        var heads = config.Int("n_head");
        var hidden = config.Multiple("n_embd", of: "n_head");
        return new Gpt2Config
        {
            VocabularySize = config.Int("vocab_size"),
            MaxPositions = config.Int("n_positions"),
            HiddenSize = hidden,
            LayerCount = config.Layers("n_layer"),
            HeadCount = heads,
            InnerSize = config.Int("n_inner", 4 * hidden),
            LayerNormEpsilon = config.Double("layer_norm_epsilon", 1e-5),
            TieWordEmbeddings = tied,
        };
    }

    /// <summary>The <c>config.json</c> of a new model, as transformers reads it.</summary>
    internal ModelConfig ToModelConfig() => new(new()
    {
        ["architectures"] = new System.Text.Json.Nodes.JsonArray("GPT2LMHeadModel"),
        ["model_type"] = "gpt2",
        ["vocab_size"] = VocabularySize,
        ["n_positions"] = MaxPositions,
        ["n_embd"] = HiddenSize,
        ["n_layer"] = LayerCount,
        ["n_head"] = HeadCount,
        ["n_inner"] = InnerSize,
        ["layer_norm_epsilon"] = LayerNormEpsilon,
        ["activation_function"] = "gelu_new",
        ["tie_word_embeddings"] = TieWordEmbeddings,
        ["eos_token_id"] = EndOfTextId,
        ["bos_token_id"] = EndOfTextId,
        ["torch_dtype"] = "float32",
    });
}
