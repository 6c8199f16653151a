using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
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
public abstract class RotaryDecoder : Transformer
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
        model = new DecoderBody(config, block);
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
        model.HiddenStates(ids, attention, ComputeType, CheckpointActivations);
}

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

internal sealed class DecoderBody : nn.Module
{
    private readonly EmbeddingTable embed_tokens;
    private readonly BlockStack<DecoderBlock> layers;
    private readonly RmsNorm norm;
    private readonly RotaryEmbedding rotary;
    private readonly double embeddingScale;

    public DecoderBody(DecoderConfig config, Func<int, DecoderBlock> block)
        : base("model")
    {
        embed_tokens = new EmbeddingTable(config.VocabularySize, config.HiddenSize);
        layers = new BlockStack<DecoderBlock>(config.LayerCount, block);
        norm = config.Norm();
        rotary = config.Rotary;
        embeddingScale = config.EmbeddingScale;
        RegisterComponents();
    }

    public EmbeddingTable Tokens => embed_tokens;

    public Tensor HiddenStates(Tensor ids, Attention attention, ScalarType computeType, bool checkpoint)
    {
        // In the caller's scope: blocks that are computed anew in the backward pass ask for it again.
        var rotation = rotary.At(attention.Positions);
        using var scope = NewDisposeScope();
        var embedded = embed_tokens.call(ids);
        if (embeddingScale != 1)
            embedded = embedded.Times(embeddingScale);
        var hidden = layers.Run(embedded, checkpoint, (block, input) => block.Forward(input, rotation, attention, computeType));
        return norm.call(hidden).to(computeType).MoveToOuterDisposeScope();
    }
}
