using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;
using LayerNorm = Dpo.Models.Layers.LayerNorm;

namespace Dpo.Models.Architectures;

/// <summary>
/// GPT-NeoX (Black et al. 2022) under Hugging Face's parameter names: Pythia, the model of the paper's HH experiment, is of this
/// kind. Dropout is not implemented: the paper trains without.
/// </summary>
public sealed class GptNeoX : Transformer
{
    private readonly GptNeoXConfig config;
    private readonly GptNeoXBody gpt_neox;
    private LinearLayer? embed_out;

    /// <summary>Creates the model of a file, with weights that are still to be filled.</summary>
    internal GptNeoX(ModelConfig file)
        : base(nameof(GptNeoX), file)
    {
        config = GptNeoXConfig.From(file);
        gpt_neox = new GptNeoXBody(config);
        if (!config.TieWordEmbeddings)
            embed_out = new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: false);
        RegisterComponents();
        eval();
    }

    private protected override OutputHead PlainHead => new(embed_out?.Weight ?? gpt_neox.TokenVectors);

    /// <inheritdoc/>
    public override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public override int LayerCount => config.LayerCount;

    internal override int HeadSize => config.HiddenSize / config.HeadCount;

    internal override string BodyPrefix => "gpt_neox.";

    internal override string HeadName => "embed_out";

    internal override string TokenVectorsName => "gpt_neox.embed_in.weight";

    private protected override LinearLayer? OwnHead { get => embed_out; set => embed_out = value; }

    internal override bool IsDerived(string tensor) =>
        tensor.EndsWith(".attention.bias", StringComparison.Ordinal)
        || tensor.EndsWith(".attention.masked_bias", StringComparison.Ordinal)
        || tensor.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal)
        || (embed_out is null && tensor == "embed_out.weight");

    internal override Tensor HiddenStates(Tensor ids, Attention attention) =>
        gpt_neox.HiddenStates(ids, attention, ComputeType, CheckpointActivations);
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

internal sealed class GptNeoXBody : nn.Module
{
    private readonly EmbeddingTable embed_in;
    private readonly ModuleList<GptNeoXBlock> layers;
    private readonly LayerNorm final_layer_norm;
    private readonly RotaryEmbedding rotary;

    public GptNeoXBody(GptNeoXConfig config)
        : base("gpt_neox")
    {
        embed_in = new EmbeddingTable(config.VocabularySize, config.HiddenSize);
        layers = nn.ModuleList([.. Enumerable.Range(0, config.LayerCount).Select(layer => new GptNeoXBlock(config, layer))]);
        final_layer_norm = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        rotary = config.Rotary;
        RegisterComponents();
    }

    public Tensor TokenVectors => embed_in.Weight;

    public Tensor HiddenStates(Tensor ids, Attention attention, ScalarType computeType, bool checkpoint)
    {
        // In the caller's scope: blocks that are computed anew in the backward pass ask for it again.
        var rotation = rotary.At(attention.Positions);
        using var scope = NewDisposeScope();
        var hidden = BlockStack.Run(
            embed_in.Forward(ids), layers, checkpoint, (block, input) => block.Forward(input, rotation, attention, computeType));
        return final_layer_norm.call(hidden).to(computeType).MoveToOuterDisposeScope();
    }
}

internal sealed class GptNeoXBlock : nn.Module
{
    private readonly LayerNorm input_layernorm;
    private readonly LayerNorm post_attention_layernorm;
    private readonly GptNeoXAttention attention;
    private readonly GptNeoXMlp mlp;
    private readonly bool parallel;

    public GptNeoXBlock(GptNeoXConfig config, int layer)
        : base("block")
    {
        input_layernorm = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        post_attention_layernorm = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        attention = new GptNeoXAttention(config, layer);
        mlp = new GptNeoXMlp(config);
        parallel = config.ParallelResidual;
        RegisterComponents();
    }

    /// <summary>The residual stream stays fp32 in either precision: the branches are what is cast.</summary>
    public Tensor Forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
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
        var projected = query_key_value.Forward(x).view(x.size(0), heads, 3, -1);
        var (query, key) = (rotation.Apply(projected.select(2, 0), x.dtype), rotation.Apply(projected.select(2, 1), x.dtype));
        return dense.Forward(attention.Attend(layer, query, key, projected.select(2, 2)));
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

    public Tensor Forward(Tensor x) => dense_4h_to_h.Forward(nn.functional.gelu(dense_h_to_4h.Forward(x), gelu));
}
