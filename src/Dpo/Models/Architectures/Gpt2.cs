using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>
/// GPT-2 (Radford et al. 2019) under Hugging Face's parameter names. Dropout is not implemented: the paper trains without.
/// </summary>
public sealed class Gpt2 : TransformerModel
{
    private readonly Gpt2Config config;
    private readonly DecoderBody transformer;

    /// <summary>Creates the model with weights drawn as GPT-2's were: normal with deviation 0.02, the last projection of every
    /// residual branch scaled by 1/√(2·layers), norms at one, biases at zero.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="seed">Seeds the weights, by a generator of its own.</param>
    public Gpt2(Gpt2Config config, int seed = 0)
        : this(config, config?.ToModelConfig() ?? throw new ArgumentNullException(nameof(config)))
    {
        var ofLast = 0.02 / Math.Sqrt(2 * config.LayerCount);
        DrawWeights(seed, name => name.EndsWith("c_proj.weight", StringComparison.Ordinal) ? ofLast : 0.02);
    }

    /// <summary>Creates the model with weights that are still to be filled.</summary>
    internal Gpt2(Gpt2Config config, ModelConfig file)
        : base(nameof(Gpt2), file)
    {
        this.config = config;
        transformer = new DecoderBody(
            ("wte", "h", "ln_f"), new EmbeddingTable(config.VocabularySize, config.HiddenSize),
            new BlockSequence<DecoderBlock>(config.LayerCount, layer => new Gpt2Block(config, layer)),
            new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon), rotary: null,
            positions: ("wpe", new EmbeddingTable(config.MaxPositions, config.HiddenSize)));
        var head = config.TieWordEmbeddings ? null : new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: false);
        Assemble(transformer.Tokens, head);
    }

    /// <inheritdoc/>
    public override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public override int LayerCount => config.LayerCount;

    /// <inheritdoc/>
    public override int HeadSize => config.HeadSize;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> ConstantTensors => [".attn.bias", ".attn.masked_bias"];

    /// <inheritdoc/>
    public override Tensor HiddenStates(Tensor ids, Attention attention) => transformer.HiddenStates(ids, attention, this);
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

internal sealed class Gpt2Block : DecoderBlock
{
    private readonly LayerNormalization ln_1;
    private readonly Gpt2Attention attn;
    private readonly LayerNormalization ln_2;
    private readonly Gpt2Mlp mlp;

    public Gpt2Block(Gpt2Config config, int layer)
    {
        ln_1 = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        attn = new Gpt2Attention(config, layer);
        ln_2 = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        mlp = new Gpt2Mlp(config);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
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
        var projected = c_attn.call(x).view(x.size(0), 3, heads, -1);
        return c_proj.call(attention.Attend(
            layer, query: projected.select(1, 0), key: projected.select(1, 1), value: projected.select(1, 2)));
    }
}

internal sealed class Gpt2Mlp : nn.Module
{
    private readonly Conv1D c_fc;
    private readonly Conv1D c_proj;

    public Gpt2Mlp(Gpt2Config config)
        : base("mlp")
    {
        c_fc = new Conv1D(config.HiddenSize, config.FeedForwardSize);
        c_proj = new Conv1D(config.FeedForwardSize, config.HiddenSize);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x) => c_proj.call(nn.functional.gelu(c_fc.call(x), GELU.Approximate.tanh));
}
