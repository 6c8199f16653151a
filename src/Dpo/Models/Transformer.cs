using static TorchSharp.torch;

namespace Dpo;

/// <summary>The precision of a model's matrix products. Weights, gradients, log-sum-exp and losses are fp32 with either.</summary>
public enum Precision
{
    /// <summary>32-bit floating point.</summary>
    Float32,

    /// <summary>Weights and activations are cast to bfloat16 for the matrix products. The weights themselves stay fp32:
    /// DPO's updates are too small to move a bf16 weight.</summary>
    BFloat16,
}

/// <summary>
/// A decoder-only transformer. An architecture says how hidden states follow from ids and positions
/// (<see cref="HiddenStates"/>); who attends to whom is the attention's business, so that the same code trains on a shared
/// prompt and generates with a key/value cache.
/// </summary>
public abstract class Transformer : CausalLanguageModel
{
    /// <summary>Names the model, as <see cref="nn.Module"/> asks for.</summary>
    protected Transformer(string name)
        : base(name)
    {
    }

    /// <summary>The precision of the matrix products; <see cref="Precision.Float32"/> by default.</summary>
    public Precision Precision { get; set; }

    /// <summary>Whether a block's intermediate values are computed anew in the backward pass instead of kept: activations then
    /// take one hidden state a block, for one more forward pass of the blocks. The gradients are the same.</summary>
    public bool CheckpointActivations { get; set; }

    /// <summary>The most positions a sequence may have.</summary>
    public abstract int MaxPositions { get; }

    /// <summary>Blocks, each with one attention.</summary>
    public abstract int LayerCount { get; }

    /// <summary>Entries of the vocabulary: V.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The fields of <c>config.json</c> that describe this model, as <see cref="Save"/> writes them.</summary>
    internal abstract ModelConfig Config { get; }

    /// <summary>What the names of all parameters but the output head's begin with.</summary>
    internal abstract string BodyPrefix { get; }

    /// <summary>Whether a stored tensor holds nothing a parameter needs: a constant, or a copy of a tied weight.</summary>
    internal abstract bool IsDerived(string tensor);

    /// <summary>The sliding windows that layers attend through, each once; none where all see their whole past.</summary>
    internal virtual IEnumerable<int> Windows => [];

    /// <summary>The data type of activations that enter a matrix product.</summary>
    internal ScalarType ComputeType => Precision == Precision.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32;

    /// <summary>The final hidden states of <paramref name="ids"/>, <c>[N, D]</c> in <see cref="ComputeType"/>.</summary>
    /// <param name="ids">Token ids <c>[N]</c>, int64.</param>
    /// <param name="attention">Their positions, and which of them each may attend to.</param>
    internal abstract Tensor HiddenStates(Tensor ids, Attention attention);

    /// <summary>Maps ids <c>[N]</c> laid out by <paramref name="layout"/> to hidden states <c>[N, D]</c>.</summary>
    /// <exception cref="InvalidInputException">A sequence has more than <see cref="MaxPositions"/> tokens.</exception>
    public sealed override Tensor forward(Tensor ids, SequenceLayout layout)
    {
        var longest = layout.Positions.Max() + 1;
        if (longest > MaxPositions)
            throw new InvalidInputException(
                $"A sequence has {longest} tokens, but the model has {MaxPositions} positions; shorten it with a smaller maximum length.");
        return HiddenStates(ids, ids.device.type == TorchSharp.DeviceType.CPU
            ? new SharedPromptAttention(layout, ids.device, ComputeType, Windows)
            : new BucketedAttention(layout, ids.device, ComputeType, Windows));
    }

    /// <summary>
    /// Writes <c>config.json</c> and <c>model.safetensors</c> (fp32) as transformers loads them; the tokenizer's files are
    /// written by <see cref="TextTokenizer.Save"/>. Each file is written under another name first, then renamed.
    /// </summary>
    /// <param name="folder">The folder; it is made where it is missing.</param>
    public void Save(string folder) => ModelFolder.Save(this, folder);
}
