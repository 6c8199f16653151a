// An architecture of another kind than Dpo's, by one who sees the package alone.
using TorchSharp.Modules;
using static TorchSharp.torch;

/// <summary>A decoder with two experts in place of each feed-forward layer, which a router weighs for every token; every other
/// layer sees a window of the past.</summary>
internal sealed class Mixture : TransformerModel
{
    private readonly ModelConfig config;
    private readonly EmbeddingTable embed_tokens;
    private readonly BlockSequence<MixtureBlock> layers;
    private readonly LayerNormalization norm;
    private readonly RotaryEmbedding rotary;

    public Mixture(ModelConfig config)
        : base("mixture", config)
    {
        this.config = config;
        var (width, heads) = (config.Multiple("hidden_size", of: "num_attention_heads"), config.Int("num_attention_heads"));
        HeadSize = width / heads;
        embed_tokens = new EmbeddingTable(config.Int("vocab_size"), width);
        layers = new BlockSequence<MixtureBlock>(LayerCount, layer => new MixtureBlock(
            new GroupedQueryAttention(layer, width, heads, config.Int("num_key_value_heads", heads), HeadSize, StyleOf(layer)),
            width, config.Int("expert_size")));
        norm = new LayerNormalization(width, config.Double("norm_eps", 1e-5));
        rotary = new RotaryEmbedding(RotaryFields.Size(config, HeadSize), RotaryFields.Parameters(config));
        var head = config.Bool("tie_word_embeddings", true) ? null : new LinearLayer(width, config.Int("vocab_size"), hasBias: true);
        Assemble(embed_tokens, head);
    }

    /// <summary>One of new weights.</summary>
    public Mixture(ModelConfig config, int seed)
        : this(config) => DrawWeights(seed, name => name.Contains("router") ? 1 : 0.3);

    public override int MaxPositions => config.Int("max_position_embeddings");

    public override int LayerCount => config.Layers("num_hidden_layers");

    public override int HeadSize { get; }

    public override AttentionStyle StyleOf(int layer) => layer % 2 == 0 ? default : new(Window: config.Int("sliding_window"));

    public override Tensor HiddenStates(Tensor ids, Attention attention)
    {
        var rotation = rotary.At(attention.Positions);
        var hidden = layers.Run(
            embed_tokens.call(ids), CheckpointActivations, (block, input) => block.call(input, rotation, attention, ComputeType));
        return norm.call(hidden).to(ComputeType);
    }
}

internal sealed class MixtureBlock : nn.Module<Tensor, Rotation, Attention, ScalarType, Tensor>
{
    private readonly RmsNorm attention_norm;
    private readonly GroupedQueryAttention self_attn;
    private readonly RmsNorm experts_norm;
    private readonly LinearLayer router;
    private readonly ModuleList<GatedMlp> experts;

    public MixtureBlock(GroupedQueryAttention attention, int width, int expertSize)
        : base(nameof(MixtureBlock))
    {
        attention_norm = new RmsNorm(width, epsilon: 1e-6);
        self_attn = attention;
        experts_norm = new RmsNorm(width, epsilon: 1e-6);
        router = new LinearLayer(width, 2, hasBias: true);
        experts = nn.ModuleList(
            new GatedMlp(width, expertSize), new GatedMlp(width, expertSize, activation: x => nn.functional.gelu(x)));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType type)
    {
        hidden = hidden.Plus(self_attn.call(attention_norm.call(hidden).to(type), rotation, attention));
        var x = experts_norm.call(hidden).to(type);
        var shares = router.call(x).softmax(1).split(1, 1);
        return hidden.Plus(shares[0] * experts[0].call(x)).Plus(shares[1] * experts[1].call(x));
    }
}
