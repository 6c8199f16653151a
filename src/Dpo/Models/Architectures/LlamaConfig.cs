namespace Dpo.Models.Architectures;

/// <summary>The shape of a new Llama model; the defaults are Llama 7B's.</summary>
public sealed record LlamaConfig
{
    /// <summary>Entries of the vocabulary (<c>vocab_size</c>).</summary>
    public int VocabularySize { get; init; } = 32000;

    /// <summary>Positions a sequence may have (<c>max_position_embeddings</c>).</summary>
    public int MaxPositions { get; init; } = 2048;

    /// <summary>Width of the hidden states (<c>hidden_size</c>); a multiple of <see cref="HeadCount"/>.</summary>
    public int HiddenSize { get; init; } = 4096;

    /// <summary>Width of the feed-forward layers (<c>intermediate_size</c>).</summary>
    public int InnerSize { get; init; } = 11008;

    /// <summary>Blocks (<c>num_hidden_layers</c>).</summary>
    public int LayerCount { get; init; } = 32;

    /// <summary>Query heads of a block (<c>num_attention_heads</c>).</summary>
    public int HeadCount { get; init; } = 32;

    /// <summary>Key and value heads of a block (<c>num_key_value_heads</c>), a divisor of <see cref="HeadCount"/>; as many as
    /// query heads where null.</summary>
    public int? KeyValueHeadCount { get; init; }

    /// <summary>What is added to the mean square in norms (<c>rms_norm_eps</c>).</summary>
    public double RmsNormEpsilon { get; init; } = 1e-6;

    /// <summary>The base of the rotary frequencies (<c>rope_theta</c>).</summary>
    public double RopeTheta { get; init; } = 10000;

    /// <summary>Whether the output head is the token embedding (<c>tie_word_embeddings</c>).</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>The end-of-text token (<c>eos_token_id</c>), where there is one; written for other systems to read.</summary>
    public int? EndOfTextId { get; init; }

    /// <summary>The <c>config.json</c> of a new model, as transformers reads it.</summary>
    internal ModelConfig ToModelConfig() => new(new()
    {
        ["architectures"] = new System.Text.Json.Nodes.JsonArray("LlamaForCausalLM"),
        ["model_type"] = "llama",
        ["vocab_size"] = VocabularySize,
        ["max_position_embeddings"] = MaxPositions,
        ["hidden_size"] = HiddenSize,
        ["intermediate_size"] = InnerSize,
        ["num_hidden_layers"] = LayerCount,
        ["num_attention_heads"] = HeadCount,
        ["num_key_value_heads"] = KeyValueHeadCount ?? HeadCount,
        ["hidden_act"] = "silu",
        ["rms_norm_eps"] = RmsNormEpsilon,
        ["rope_theta"] = RopeTheta,
        ["tie_word_embeddings"] = TieWordEmbeddings,
        ["eos_token_id"] = EndOfTextId,
        ["bos_token_id"] = EndOfTextId,
        ["torch_dtype"] = "float32",
    });
}
