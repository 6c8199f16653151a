using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>The shape that decoders of Llama's kind have in common.</summary>
internal sealed record DecoderConfig
{
    public required int VocabularySize { get; init; }

    public required int MaxPositions { get; init; }

    public required int HiddenSize { get; init; }

    /// <summary>Width of the feed-forward layers.</summary>
    public required int InnerSize { get; init; }

    public required int LayerCount { get; init; }

    public required int HeadCount { get; init; }

    /// <summary>Heads of keys and values; a divisor of <see cref="HeadCount"/>.</summary>
    public required int KeyValueHeadCount { get; init; }

    public required int HeadSize { get; init; }

    public required double NormEpsilon { get; init; }

    /// <summary>Whether the output head is the token embedding.</summary>
    public required bool TieWordEmbeddings { get; init; }

    public required RotaryEmbedding Rotary { get; init; }

    /// <summary>Every layer's sliding window, or null where it sees its whole past.</summary>
    public required IReadOnlyList<int?> Windows { get; init; }

    /// <summary>Scale and soft cap of all layers' attention.</summary>
    public AttentionStyle Attention { get; init; }

    /// <summary>Whether the gain of norms is 1 + weight.</summary>
    public bool NormsAroundOne { get; init; }

    /// <summary>What token embeddings are multiplied by.</summary>
    public double EmbeddingScale { get; init; } = 1;

    /// <summary>The soft cap of the logits, or null.</summary>
    public double? HeadSoftCap { get; init; }

    /// <summary>Reads the fields that all these architectures name alike.</summary>
    /// <param name="config">The <c>config.json</c>.</param>
    /// <param name="windows">Every layer's sliding window; none by default.</param>
    /// <param name="tied">Whether the output head is the token embedding where the file does not say.</param>
    public static DecoderConfig From(ModelConfig config, IReadOnlyList<int?>? windows = null, bool tied = false)
    {
        var hidden = config.Has("head_dim")
            ? config.Int("hidden_size")
            : config.Multiple("hidden_size", of: "num_attention_heads");
        var heads = config.Int("num_attention_heads");
        var keyValueHeads = config.Int("num_key_value_heads", heads);
        if (heads % keyValueHeads != 0)
            throw config.Wrong("num_key_value_heads", $"it must be a divisor of num_attention_heads, {heads}");
        var headSize = config.Int("head_dim", hidden / heads);
        if ((long)heads * headSize > ModelConfig.Largest)
            throw config.Wrong(
                "head_dim", $"with num_attention_heads, {heads}, it makes layers of over {ModelConfig.Largest} outputs");
        return new DecoderConfig
        {
            VocabularySize = config.Int("vocab_size"),
            MaxPositions = config.Int("max_position_embeddings"),
            HiddenSize = hidden,
            InnerSize = config.Int("intermediate_size"),
            LayerCount = config.Layers("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = keyValueHeads,
            HeadSize = headSize,
            NormEpsilon = config.Double("rms_norm_eps"),
            TieWordEmbeddings = config.Bool("tie_word_embeddings", tied),
            Rotary = new RotaryEmbedding(RotaryFields.Size(config, headSize), RotaryFields.Parameters(config)),
            Windows = windows ?? new int?[config.Layers("num_hidden_layers")],
        };
    }

    /// <summary>How layer <paramref name="layer"/> attends.</summary>
    public AttentionStyle AttentionStyle(int layer) => Attention with { Window = Windows[layer] };

    /// <summary>The attention of layer <paramref name="layer"/>.</summary>
    /// <param name="layer">The block's index.</param>
    /// <param name="inputBias">Whether queries, keys and values have a bias.</param>
    /// <param name="outputBias">Whether the output has one.</param>
    /// <param name="normalized">Whether every head of queries and keys is normalized before it is turned (Qwen 3).</param>
    public GroupedQueryAttention SelfAttention(
        int layer, bool inputBias = false, bool outputBias = false, bool normalized = false) => new(
            layer, HiddenSize, HeadCount, KeyValueHeadCount, HeadSize, AttentionStyle(layer), inputBias, outputBias,
            normalized ? NormEpsilon : null);

    /// <summary>A feed-forward layer; SiLU where no activation is given.</summary>
    public GatedMlp Mlp(bool hasBias = false, Func<Tensor, Tensor>? activation = null) =>
        new(HiddenSize, InnerSize, hasBias, activation);

    /// <summary>A norm of hidden states.</summary>
    public RmsNorm Norm() => new(HiddenSize, NormEpsilon, NormsAroundOne);
}
