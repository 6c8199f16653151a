using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>The body of a decoder: token embedding, blocks, and a norm behind the last. Positions are rotations within the blocks
/// or, in GPT-2, vectors that are added to the tokens'.</summary>
internal sealed class DecoderBody : nn.Module
{
    private readonly EmbeddingTable tokens;
    private readonly BlockSequence<DecoderBlock> blocks;
    private readonly nn.Module<Tensor, Tensor> norm;
    private readonly RotaryEmbedding? rotary;
    private readonly EmbeddingTable? positions;

    /// <summary>Makes a body of its parts.</summary>
    /// <param name="names">What Hugging Face calls embedding, blocks and norm, because the keys of the state dict are made of
    /// that.</param>
    /// <param name="tokens">The token embedding.</param>
    /// <param name="blocks">The blocks.</param>
    /// <param name="norm">The norm.</param>
    /// <param name="rotary">The rotations of positions; null for none.</param>
    /// <param name="positions">The vectors of positions, and what Hugging Face calls them; null for none.</param>
    public DecoderBody(
        (string Tokens, string Blocks, string Norm) names, EmbeddingTable tokens, BlockSequence<DecoderBlock> blocks,
        nn.Module<Tensor, Tensor> norm, RotaryEmbedding? rotary, (string Name, EmbeddingTable Vectors)? positions = null)
        : base(nameof(DecoderBody))
    {
        (this.tokens, this.blocks, this.norm, this.rotary, this.positions) = (tokens, blocks, norm, rotary, positions?.Vectors);
        register_module(names.Tokens, tokens);
        if (positions is var (name, vectors))
            register_module(name, vectors);
        register_module(names.Blocks, blocks);
        register_module(names.Norm, norm);
    }

    public EmbeddingTable Tokens => tokens;

    /// <summary>The hidden states behind the norm.</summary>
    /// <param name="ids">The tokens.</param>
    /// <param name="attention">Who attends to whom.</param>
    /// <param name="model">The model, which says in what precision, and whether blocks are computed anew.</param>
    /// <param name="embeddingScale">What token embeddings are multiplied by.</param>
    public Tensor HiddenStates(Tensor ids, Attention attention, TransformerModel model, double embeddingScale = 1)
    {
        // In the caller's scope: blocks that are computed anew in the backward pass ask for it again.
        var rotation = rotary?.At(attention.Positions);
        using var scope = NewDisposeScope();
        var embedded = tokens.call(ids);
        if (embeddingScale != 1)
            embedded = embedded.Times(embeddingScale);
        if (positions is not null)
            embedded = embedded.Plus(positions.call(attention.Positions));
        var computeType = model.ComputeType;
        // Blocks without a rotation, GPT-2's, do not look at it.
        var hidden = blocks.Run(
            embedded, model.CheckpointActivations, (block, input) => block.call(input, rotation!, attention, computeType));
        return norm.call(hidden).to(computeType).MoveToOuterDisposeScope();
    }

    /// <summary>The parts have their names already: those of the fields are not Hugging Face's.</summary>
    protected override void RegisterComponents()
    {
    }
}
