using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>
/// Decoders of Llama's kind: rotary positions, RMS norms, gated feed-forward layers, under Hugging Face's parameter names.
/// Dropout is not implemented: the paper trains without.
/// </summary>
/// <remarks><see cref="CausalLanguageModel.Load"/> makes them of a folder. Fields of <c>config.json</c> that change what is
/// computed are honoured or refused by name and value, in the spelling of transformers 5 (<c>rope_parameters</c>) and the older
/// one (<c>rope_theta</c>, <c>rope_scaling</c>); of rotary scaling <c>default</c>, <c>linear</c> and <c>llama3</c> are
/// implemented.</remarks>
public abstract class RotaryDecoder : TransformerModel
{
    private readonly DecoderConfig config;
    private readonly DecoderBody model;

    /// <summary>Creates the model with weights that are still to be filled.</summary>
    /// <param name="name">The architecture's name.</param>
    /// <param name="file">The <c>config.json</c>.</param>
    /// <param name="config">What it says of the shape.</param>
    /// <param name="block">Makes the block of an index.</param>
    private protected RotaryDecoder(string name, ModelConfig file, DecoderConfig config, Func<int, DecoderBlock> block)
        : base(name, file)
    {
        this.config = config;
        model = new DecoderBody(
            ("embed_tokens", "layers", "norm"), new EmbeddingTable(config.VocabularySize, config.HiddenSize),
            new BlockSequence<DecoderBlock>(config.LayerCount, block), config.Norm(), config.Rotary);
        var head = config.TieWordEmbeddings ? null : new LinearLayer(config.HiddenSize, config.VocabularySize, hasBias: false);
        Assemble(model.Tokens, head, headSoftCap: config.HeadSoftCap);
    }

    /// <inheritdoc/>
    public sealed override int MaxPositions => config.MaxPositions;

    /// <inheritdoc/>
    public sealed override int LayerCount => config.LayerCount;

    /// <inheritdoc/>
    public sealed override int HeadSize => config.HeadSize;

    /// <inheritdoc/>
    protected sealed override IReadOnlyList<string> ConstantTensors => [".rotary_emb.inv_freq"];

    /// <inheritdoc/>
    public sealed override AttentionStyle StyleOf(int layer) => config.AttentionStyle(layer);

    /// <inheritdoc/>
    public sealed override Tensor HiddenStates(Tensor ids, Attention attention) =>
        model.HiddenStates(ids, attention, this, config.EmbeddingScale);
}
