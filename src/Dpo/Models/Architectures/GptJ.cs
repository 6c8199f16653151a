using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;
using LayerNorm = Dpo.Models.Layers.LayerNorm;

namespace Dpo.Models.Architectures;

/// <summary>
/// GPT-J (Wang and Komatsuzaki 2021) under Hugging Face's parameter names; the model of the paper's TL;DR experiment. Dropout is
/// not implemented: the paper trains without.
/// </summary>
public sealed class GptJ : Transformer
{
    private readonly GptJConfig config;
    private readonly GptJBody transformer;
    private LinearLayer lm_head;

    /// <summary>Creates the model of a file, with weights that are still to be filled.</summary>
    internal GptJ(ModelConfig file)
        : base(nameof(GptJ), file)
    {
        config = GptJConfig.From(file);
        transformer = new GptJBody(config);
        lm_head = new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: true);
        RegisterComponents();
        eval();
    }

    private protected override OutputHead PlainHead => new(lm_head.Weight, lm_head.Bias);

    /// <inheritdoc/>
    public override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public override int LayerCount => config.LayerCount;

    internal override int HeadSize => config.HiddenSize / config.HeadCount;

    internal override string BodyPrefix => "transformer.";

    internal override string HeadName => "lm_head";

    internal override string TokenVectorsName => "transformer.wte.weight";

    private protected override LinearLayer? OwnHead { get => lm_head; set => lm_head = value!; }

    internal override bool IsDerived(string tensor) =>
        tensor.EndsWith(".attn.bias", StringComparison.Ordinal)
        || tensor.EndsWith(".attn.masked_bias", StringComparison.Ordinal)
        || tensor.EndsWith(".attn.embed_positions", StringComparison.Ordinal);

    internal override Tensor HiddenStates(Tensor ids, Attention attention) =>
        transformer.HiddenStates(ids, attention, ComputeType, CheckpointActivations);
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

internal sealed class GptJBody : nn.Module
{
    private readonly EmbeddingTable wte;
    private readonly ModuleList<GptJBlock> h;
    private readonly LayerNorm ln_f;
    private readonly RotaryEmbedding rotary;

    public GptJBody(GptJConfig config)
        : base("transformer")
    {
        wte = new EmbeddingTable(config.VocabularySize, config.HiddenSize);
        h = nn.ModuleList([.. Enumerable.Range(0, config.LayerCount).Select(layer => new GptJBlock(config, layer))]);
        ln_f = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        rotary = new RotaryEmbedding(config.RotarySize, new RotaryParameters(Theta: 10000), RotaryPairs.Neighbours);
        RegisterComponents();
    }

    public Tensor HiddenStates(Tensor ids, Attention attention, ScalarType computeType, bool checkpoint)
    {
        // In the caller's scope: blocks that are computed anew in the backward pass ask for it again.
        var rotation = rotary.At(attention.Positions);
        using var scope = NewDisposeScope();
        var hidden = BlockStack.Run(
            wte.Forward(ids), h, checkpoint, (block, input) => block.Forward(input, rotation, attention, computeType));
        return ln_f.call(hidden).to(computeType).MoveToOuterDisposeScope();
    }
}

/// <summary>Attention and feed-forward layer side by side, behind one norm.</summary>
internal sealed class GptJBlock : nn.Module
{
    private readonly LayerNorm ln_1;
    private readonly GptJAttention attn;
    private readonly GptJMlp mlp;

    public GptJBlock(GptJConfig config, int layer)
        : base("block")
    {
        ln_1 = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        attn = new GptJAttention(config, layer);
        mlp = new GptJMlp(config);
        RegisterComponents();
    }

    /// <summary>The residual stream stays fp32 in either precision: the branches are what is cast.</summary>
    public Tensor Forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
    {
        var normalized = ln_1.call(hidden).to(computeType);
        return hidden.Plus(attn.Forward(normalized, rotation, attention)).Plus(mlp.Forward(normalized));
    }
}

internal sealed class GptJAttention : nn.Module
{
    private readonly LinearLayer q_proj;
    private readonly LinearLayer k_proj;
    private readonly LinearLayer v_proj;
    private readonly LinearLayer out_proj;
    private readonly int layer;
    private readonly int heads;

    public GptJAttention(GptJConfig config, int layer)
        : base("attn")
    {
        this.layer = layer;
        heads = config.HeadCount;
        q_proj = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: false);
        k_proj = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: false);
        v_proj = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: false);
        out_proj = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: false);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x, Rotation rotation, Attention attention)
    {
        var (query, key) = (rotation.Apply(Heads(q_proj), x.dtype), rotation.Apply(Heads(k_proj), x.dtype));
        return out_proj.Forward(attention.Attend(layer, query, key, Heads(v_proj)));

        Tensor Heads(LinearLayer projection) => projection.Forward(x).unflatten(1, heads, -1);
    }
}

internal sealed class GptJMlp : nn.Module
{
    private readonly LinearLayer fc_in;
    private readonly LinearLayer fc_out;

    public GptJMlp(GptJConfig config)
        : base("mlp")
    {
        fc_in = new LinearLayer(config.HiddenSize, config.InnerSize, hasBias: true);
        fc_out = new LinearLayer(config.InnerSize, config.HiddenSize, hasBias: true);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x) => fc_out.Forward(nn.functional.gelu(fc_in.Forward(x), GELU.Approximate.tanh));
}
