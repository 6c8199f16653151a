using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>
/// GPT-NeoX (Black et al. 2022) under Hugging Face's parameter names: Pythia, the model of the paper's HH experiment, is of this
/// kind. Dropout is not implemented: the paper trains without.
/// </summary>
public sealed class GptNeoX : TransformerModel
{
    private readonly GptNeoXConfig config;
    private readonly DecoderBody gpt_neox;

    /// <summary>Creates the model of a file, with weights that are still to be filled.</summary>
    internal GptNeoX(ModelConfig file)
        : base(nameof(GptNeoX), file)
    {
        config = GptNeoXConfig.From(file);
        gpt_neox = new DecoderBody(
            ("embed_in", "layers", "final_layer_norm"), new EmbeddingTable(config.VocabularySize, config.HiddenSize),
            new BlockSequence<DecoderBlock>(config.LayerCount, layer => new GptNeoXBlock(config, layer)),
            new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon), config.Rotary);
        var head = config.TieWordEmbeddings ? null : new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: false);
        Assemble(gpt_neox.Tokens, head, headName: "embed_out");
    }

    /// <inheritdoc/>
    public override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public override int LayerCount => config.LayerCount;

    /// <inheritdoc/>
    public override int HeadSize => config.HiddenSize / config.HeadCount;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> ConstantTensors =>
        [".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"];

    /// <inheritdoc/>
    public override Tensor HiddenStates(Tensor ids, Attention attention) => gpt_neox.HiddenStates(ids, attention, this);
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

internal sealed class GptNeoXBlock : DecoderBlock
{
    private readonly LayerNormalization input_layernorm;
    private readonly LayerNormalization post_attention_layernorm;
    private readonly GptNeoXAttention attention;
    private readonly GptNeoXMlp mlp;
    private readonly bool parallel;

    public GptNeoXBlock(GptNeoXConfig config, int layer)
    {
        input_layernorm = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        post_attention_layernorm = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        attention = new GptNeoXAttention(config, layer);
        mlp = new GptNeoXMlp(config);
        parallel = config.ParallelResidual;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
    {
        var attended = hidden.Plus(this.attention.Forward(input_layernorm.call(hidden).to(computeType), rotation, attention));
        return attended.Plus(mlp.Forward(post_attention_layernorm.call(parallel ? hidden : attended).to(computeType)));
    }
}

internal sealed class GptNeoXAttention : nn.Module
{
    private readonly LinearLayer query_key_value;
    private readonly LinearLayer dense;
    private readonly int layer;
    private readonly int heads;

    public GptNeoXAttention(GptNeoXConfig config, int layer)
        : base("attention")
    {
        this.layer = layer;
        heads = config.HeadCount;
        query_key_value = new LinearLayer(config.HiddenSize, 3 * config.HiddenSize, config.AttentionBias);
        dense = new LinearLayer(config.HiddenSize, config.HiddenSize, config.AttentionBias);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x, Rotation rotation, Attention attention)
    {
        // Every head has its query, key and value side by side: [N, heads, 3, head size].
        var projected = query_key_value.call(x).view(x.size(0), heads, 3, -1);
        var (query, key) = (rotation.Apply(projected.select(2, 0), x.dtype), rotation.Apply(projected.select(2, 1), x.dtype));
        return dense.call(attention.Attend(layer, query, key, projected.select(2, 2)));
    }
}

internal sealed class GptNeoXMlp : nn.Module
{
    private readonly LinearLayer dense_h_to_4h;
    private readonly LinearLayer dense_4h_to_h;
    private readonly GELU.Approximate gelu;

    public GptNeoXMlp(GptNeoXConfig config)
        : base("mlp")
    {
        dense_h_to_4h = new LinearLayer(config.HiddenSize, config.InnerSize, hasBias: true);
        dense_4h_to_h = new LinearLayer(config.InnerSize, config.HiddenSize, hasBias: true);
        gelu = config.ApproximateGelu ? GELU.Approximate.tanh : GELU.Approximate.none;
        RegisterComponents();
    }

    public Tensor Forward(Tensor x) => dense_4h_to_h.call(nn.functional.gelu(dense_h_to_4h.call(x), gelu));
}
