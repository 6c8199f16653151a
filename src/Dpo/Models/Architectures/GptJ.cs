using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>
/// GPT-J (Wang and Komatsuzaki 2021) under Hugging Face's parameter names; the model of the paper's TL;DR experiment. Its shape
/// has GPT-2's fields. Dropout is not implemented: the paper trains without.
/// </summary>
public sealed class GptJ : TransformerModel
{
    private readonly Gpt2Config config;
    private readonly DecoderBody transformer;

    /// <summary>Creates the model of a file, with weights that are still to be filled.</summary>
    internal GptJ(ModelConfig file)
        : base(nameof(GptJ), file)
    {
        file.Require("tie_word_embeddings", false);
        config = Gpt2Config.ShapeOf(file, tied: false);
        var rotary = new RotaryEmbedding(
            RotarySize(file, config.HeadSize), new RotaryParameters(Theta: 10000), RotaryPairs.Neighbours);
        transformer = new DecoderBody(
            ("wte", "h", "ln_f"), new EmbeddingTable(config.VocabularySize, config.HiddenSize),
            new BlockSequence<DecoderBlock>(config.LayerCount, layer => new GptJBlock(config, layer)),
            new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon), rotary);
        Assemble(transformer.Tokens, new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: true));
    }

    /// <inheritdoc/>
    public override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public override int LayerCount => config.LayerCount;

    /// <inheritdoc/>
    public override int HeadSize => config.HeadSize;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> ConstantTensors => [".attn.bias", ".attn.masked_bias", ".attn.embed_positions"];

    /// <inheritdoc/>
    public override Tensor HiddenStates(Tensor ids, Attention attention) => transformer.HiddenStates(ids, attention, this);

    /// <summary>How many entries of a head are turned by its position, from the first on.</summary>
    private static int RotarySize(ModelConfig file, int headSize)
    {
        var size = file.Int("rotary_dim", 64);
        return size % 2 == 0 && size <= headSize
            ? size
            : throw file.Wrong("rotary_dim", $"it must be an even number up to the size of a head, {headSize}");
    }
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

/// <summary>Attention and feed-forward layer side by side, behind one norm.</summary>
internal sealed class GptJBlock : DecoderBlock
{
    private readonly LayerNormalization ln_1;
    private readonly GptJAttention attn;
    private readonly GptJMlp mlp;

    public GptJBlock(Gpt2Config config, int layer)
    {
        ln_1 = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        attn = new GptJAttention(config, layer);
        mlp = new GptJMlp(config);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
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

    public GptJAttention(Gpt2Config config, int layer)
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
        return out_proj.call(attention.Attend(layer, query, key, Heads(v_proj)));

        Tensor Heads(LinearLayer projection) => projection.call(x).unflatten(1, heads, -1);
    }
}

internal sealed class GptJMlp : nn.Module
{
    private readonly LinearLayer fc_in;
    private readonly LinearLayer fc_out;

    public GptJMlp(Gpt2Config config)
        : base("mlp")
    {
        fc_in = new LinearLayer(config.HiddenSize, config.FeedForwardSize, hasBias: true);
        fc_out = new LinearLayer(config.FeedForwardSize, config.HiddenSize, hasBias: true);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x) => fc_out.call(nn.functional.gelu(fc_in.call(x), GELU.Approximate.tanh));
}
