using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;
using LayerNorm = Dpo.Models.Layers.LayerNorm;

namespace Dpo.Models.Architectures;

/// <summary>
/// GPT-2 (Radford et al. 2019) under Hugging Face's parameter names. Dropout is not implemented: the paper trains without.
/// </summary>
public sealed class Gpt2 : Transformer
{
    private readonly Gpt2Config config;
    private readonly Gpt2Body transformer;
    private LinearLayer? lm_head;

    /// <summary>Creates the model with weights drawn as GPT-2's were: normal with deviation 0.02, the last projection of every
    /// residual branch scaled by 1/√(2·layers), norms at one, biases at zero.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="seed">Seeds the weights, by a generator of its own.</param>
    public Gpt2(Gpt2Config config, int seed = 0)
        : this(config, NotNull(config).ToModelConfig())
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var generator = new Generator((ulong)seed);
        foreach (var (name, parameter) in named_parameters())
        {
            if (name.EndsWith("bias", StringComparison.Ordinal))
                parameter.zero_();
            else if (parameter.dim() == 1)
                parameter.FillInPlace(1);
            else if (name.EndsWith("c_proj.weight", StringComparison.Ordinal))
                parameter.normal_(0, 0.02 / Math.Sqrt(2 * config.LayerCount), generator);
            else
                parameter.normal_(0, 0.02, generator);
        }
    }

    /// <summary>Creates the model with weights that are still to be filled.</summary>
    internal Gpt2(Gpt2Config config, ModelConfig file)
        : base(nameof(Gpt2), file)
    {
        this.config = config;
        transformer = new Gpt2Body(config);
        if (!config.TieWordEmbeddings)
            lm_head = new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: false);
        RegisterComponents();
        eval();
    }

    private protected override OutputHead PlainHead => new(lm_head?.Weight ?? transformer.TokenVectors);

    /// <inheritdoc/>
    public override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public override int LayerCount => config.LayerCount;

    internal override int HeadSize => config.HiddenSize / config.HeadCount;

    internal override string BodyPrefix => "transformer.";

    internal override string HeadName => "lm_head";

    internal override string TokenVectorsName => "transformer.wte.weight";

    private protected override LinearLayer? OwnHead { get => lm_head; set => lm_head = value; }

    internal override bool IsDerived(string tensor) =>
        tensor.EndsWith(".attn.bias", StringComparison.Ordinal)
        || tensor.EndsWith(".attn.masked_bias", StringComparison.Ordinal)
        || (lm_head is null && tensor == "lm_head.weight");

    private static Gpt2Config NotNull(Gpt2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config;
    }

    internal override Tensor HiddenStates(Tensor ids, Attention attention) => transformer.HiddenStates(ids, attention, ComputeType, CheckpointActivations);
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

internal sealed class Gpt2Body : nn.Module
{
    private readonly EmbeddingTable wte;
    private readonly EmbeddingTable wpe;
    private readonly ModuleList<Gpt2Block> h;
    private readonly LayerNorm ln_f;

    public Gpt2Body(Gpt2Config config)
        : base("transformer")
    {
        wte = new EmbeddingTable(config.VocabularySize, config.HiddenSize);
        wpe = new EmbeddingTable(config.MaxPositions, config.HiddenSize);
        h = nn.ModuleList([.. Enumerable.Range(0, config.LayerCount).Select(layer => new Gpt2Block(config, layer))]);
        ln_f = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        RegisterComponents();
    }

    public Tensor TokenVectors => wte.Weight;

    public Tensor HiddenStates(Tensor ids, Attention attention, ScalarType computeType, bool checkpoint)
    {
        using var scope = NewDisposeScope();
        var hidden = BlockStack.Run(
            wte.Forward(ids).Plus(wpe.Forward(attention.Positions)), h, checkpoint, (block, input) => block.Forward(input, attention, computeType));
        return ln_f.call(hidden).to(computeType).MoveToOuterDisposeScope();
    }
}

internal sealed class Gpt2Block : nn.Module
{
    private readonly LayerNorm ln_1;
    private readonly Gpt2Attention attn;
    private readonly LayerNorm ln_2;
    private readonly Gpt2Mlp mlp;

    public Gpt2Block(Gpt2Config config, int layer)
        : base("block")
    {
        ln_1 = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        attn = new Gpt2Attention(config, layer);
        ln_2 = new LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        mlp = new Gpt2Mlp(config);
        RegisterComponents();
    }

    /// <summary>The residual stream stays fp32 in either precision: the branches are what is cast.</summary>
    public Tensor Forward(Tensor hidden, Attention attention, ScalarType computeType)
    {
        hidden = hidden.Plus(attn.Forward(ln_1.call(hidden).to(computeType), attention));
        return hidden.Plus(mlp.Forward(ln_2.call(hidden).to(computeType)));
    }
}

internal sealed class Gpt2Attention : nn.Module
{
    private readonly Conv1D c_attn;
    private readonly Conv1D c_proj;
    private readonly int layer;
    private readonly int heads;

    public Gpt2Attention(Gpt2Config config, int layer)
        : base("attn")
    {
        this.layer = layer;
        heads = config.HeadCount;
        c_attn = new Conv1D(config.HiddenSize, 3 * config.HiddenSize);
        c_proj = new Conv1D(config.HiddenSize, config.HiddenSize);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x, Attention attention)
    {
        var projected = c_attn.Forward(x).view(x.size(0), 3, heads, -1);
        return c_proj.Forward(attention.Attend(layer, query: projected.select(1, 0), key: projected.select(1, 1), value: projected.select(1, 2)));
    }
}

internal sealed class Gpt2Mlp : nn.Module
{
    private readonly Conv1D c_fc;
    private readonly Conv1D c_proj;

    public Gpt2Mlp(Gpt2Config config)
        : base("mlp")
    {
        var inner = config.InnerSize ?? 4 * config.HiddenSize;
        c_fc = new Conv1D(config.HiddenSize, inner);
        c_proj = new Conv1D(inner, config.HiddenSize);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x) => c_proj.Forward(nn.functional.gelu(c_fc.Forward(x), GELU.Approximate.tanh));
}
