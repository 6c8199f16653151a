using System.Text.Json.Nodes;
using Dpo.Files;
using Dpo.Layout;
using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>
/// A decoder-only transformer. An architecture says how hidden states follow from ids and positions
/// (<see cref="HiddenStates"/>); who attends to whom is the attention's business, so that the same code trains on a shared
/// prompt and generates with a key/value cache.
/// </summary>
/// <remarks>
/// <para>An architecture of your own is a subclass: its constructor makes the modules and ends with <see cref="Assemble"/>;
/// beyond that it says <see cref="MaxPositions"/>, <see cref="LayerCount"/>, <see cref="HeadSize"/>, <see cref="HiddenStates"/>
/// and, where its layers attend otherwise than plainly, <see cref="StyleOf"/>. <see cref="ModelTypes.Register"/> has
/// <see cref="CausalLanguageModel.Load"/> make it of a folder. Every <see cref="LinearLayer"/> takes a LoRA adapter, and weights
/// are kept in half the memory where they are those of <see cref="LinearLayer"/> and <see cref="EmbeddingTable"/>; other modules
/// are trained and saved as they are.</para>
/// <para>Parameters are saved under the names of the fields that hold them. A module with a mode, such as a dropout, is in
/// evaluation mode but where an adapter with dropout is trained.</para>
/// </remarks>
public abstract partial class TransformerModel : CausalLanguageModel
{
    private EmbeddingTable? tokens;
    private LinearLayer? head;
    private double? headSoftCap;
    private int? vocabularySize;

    /// <summary>What the names of the output head's tensors begin with in the files of a language model, where this one has a
    /// scalar head instead.</summary>
    private string? languageHead;

    /// <summary>Names the model, as <see cref="nn.Module"/> asks for.</summary>
    /// <param name="name">The architecture's name.</param>
    /// <param name="config">The <c>config.json</c>, which <see cref="Save"/> writes again.</param>
    protected TransformerModel(string name, ModelConfig config)
        : base(name)
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
    }

    /// <summary>The precision of the matrix products; <see cref="Precision.Float32"/> by default.</summary>
    public Precision Precision { get; set; }

    /// <summary>Whether a block's intermediate values are computed anew in the backward pass instead of kept: activations then
    /// take one hidden state a block, for one more forward pass of the blocks. The gradients are the same.</summary>
    public bool CheckpointActivations { get; set; }

    /// <summary>The most positions a sequence may have.</summary>
    public abstract override int MaxPositions { get; }

    /// <summary>Blocks, each with one attention.</summary>
    public abstract int LayerCount { get; }

    /// <summary>Entries of an attention head.</summary>
    public abstract int HeadSize { get; }

    /// <summary>How a layer attends: what its block gives to <see cref="Attention.Attend"/>. Plainly, by default.</summary>
    /// <param name="layer">The block's index, from 0.</param>
    public virtual AttentionStyle StyleOf(int layer) => default;

    /// <summary>The final hidden states of <paramref name="ids"/>, behind the last norm: what the output head is applied
    /// to.</summary>
    /// <param name="ids">Token ids laid end to end, <c>[N]</c>, int64.</param>
    /// <param name="attention">Their positions, and which of them each may attend to. Ask each token's position of it, and call
    /// <see cref="Attention.Attend"/> once a block: what a token becomes may follow from other tokens in no other way.</param>
    /// <returns><c>[N, D]</c> in <see cref="ComputeType"/>, of the current dispose scope.</returns>
    public abstract Tensor HiddenStates(Tensor ids, Attention attention);

    /// <summary>The data type of activations that enter a matrix product: fp32 or bf16, as <see cref="Precision"/> says. Hidden
    /// states between blocks, norms and embeddings stay fp32 in either.</summary>
    public ScalarType ComputeType => Precision == Precision.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32;

    /// <summary>Entries of the vocabulary: V.</summary>
    public int VocabularySize => vocabularySize ??= (int)(IsScalar ? tokens!.Weight : PlainHead.Weight!).shape[0];

    /// <summary>Whether the head gives one number for a hidden state, a reward or a value, in the place of logits: a model that
    /// <see cref="CausalLanguageModel.LoadScalar"/> or <see cref="WithScalarHead"/> made.</summary>
    public bool IsScalar => Config.IsScalar;

    /// <inheritdoc/>
    public sealed override OutputHead Head => head switch
    {
        { Merged: { } merged } => PlainHead with { Weight = merged },
        { Lora: { } lora } => PlainHead with { LowRank = lora.B.Weight },
        _ => PlainHead,
    };

    /// <summary>The ends of names of tensors that a file may hold and no parameter needs: constants, such as rotary frequencies
    /// or a causal mask. None by default; any other tensor without a parameter is refused.</summary>
    protected virtual IReadOnlyList<string> ConstantTensors => [];

    /// <summary>The fields of <c>config.json</c> that describe this model, as <see cref="Save"/> writes them.</summary>
    internal ModelConfig Config { get; private set; }

    /// <summary>What <see cref="CausalLanguageModel.Load"/> was given; null for a model that was made here.</summary>
    internal string? LoadedFrom { get; set; }

    /// <summary>Files of the folder that it was loaded from and that it is saved with; null for a model that was made
    /// here.</summary>
    internal CompanionFiles? Companions { get; set; }

    /// <summary>The name of the module that the output head is, where it is one.</summary>
    internal string HeadName { get; private set; } = "";

    /// <summary>The name of the token embedding's weight.</summary>
    internal string TokenVectorsName { get; private set; } = "";

    /// <summary>What the names of all parameters but the output head's begin with, where they lie in a module of their own; else
    /// nothing.</summary>
    internal string BodyPrefix => TokenVectorsName.Split('.') is [var body, _, _, ..] ? body + "." : "";

    /// <summary>The layer that the output head is; null where it is the token embedding.</summary>
    internal LinearLayer? OwnHeadLayer => head;

    /// <summary>Whether the output head is the token embedding.</summary>
    internal bool IsTied => head is null;

    /// <summary>The output head without an adapter.</summary>
    private OutputHead PlainHead => tokens is null
        ? throw new InvalidOperationException(
            $"The constructor of {GetType().Name} must end with Assemble, which says what its embedding and its head are.")
        : new OutputHead(head?.Weight ?? tokens.Weight, head?.Bias, headSoftCap);

    /// <summary>
    /// Ends the constructor of an architecture: registers the modules in the fields of the class, then the output head, and puts
    /// the model into evaluation mode.
    /// </summary>
    /// <param name="tokens">The token embedding, somewhere in those modules.</param>
    /// <param name="head">The output head, <c>[V, D]</c> with or without bias, which the model registers and disposes; null where
    /// it is the token embedding.</param>
    /// <param name="headName">The name of the head's module in files, whether it is there or not.</param>
    /// <param name="headSoftCap">Logits x become cap·tanh(x / cap); null for none.</param>
    protected void Assemble(
        EmbeddingTable tokens, LinearLayer? head = null, string headName = "lm_head", double? headSoftCap = null)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        RegisterComponents();
        var table = named_modules().FirstOrDefault(named => ReferenceEquals(named.module, tokens)).name
            ?? throw new ArgumentException(
                $"The token embedding is in no field of {GetType().Name}, nor of its modules.", nameof(tokens));
        (this.tokens, TokenVectorsName, HeadName, this.headSoftCap) = (tokens, table + ".weight", headName, headSoftCap);
        if (IsScalar)
        {
            languageHead = headName + ".";
            (HeadName, this.headSoftCap) = (ScalarHead.Name, null);
            head?.Dispose();
            head = new LinearLayer((int)tokens.Weight.shape[1], 1, hasBias: false);
        }
        if (head is not null)
            SetHead(head);
        eval();
    }

    /// <summary>Gives all weights new values, to be trained from: matrices are drawn normally around 0, gains of norms are 1,
    /// biases 0.</summary>
    /// <param name="seed">Seeds the weights, by a generator of its own.</param>
    /// <param name="deviation">The standard deviation of the matrix of a name; 0.02 for all where null.</param>
    protected void DrawWeights(int seed, Func<string, double>? deviation = null)
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
            else
                parameter.normal_(0, deviation?.Invoke(name) ?? 0.02, generator);
        }
    }

    /// <summary>Whether a stored tensor holds nothing a parameter needs: a constant, or a copy of a tied weight.</summary>
    internal bool IsDerived(string tensor) =>
        (IsTied && tensor == HeadName + ".weight")
        || (languageHead is not null && tensor.StartsWith(languageHead, StringComparison.Ordinal))
        || ConstantTensors.Any(end => tensor.EndsWith(end, StringComparison.Ordinal));

    /// <summary>What <see cref="Head"/> is applied to: the hidden states, and behind them what an adapter of the head multiplies
    /// its <see cref="OutputHead.LowRank"/> with.</summary>
    internal Tensor HeadInputs(Tensor ids, Attention attention)
    {
        var hidden = HiddenStates(ids, attention);
        return head is { Merged: null, Lora: { } lora } ? cat([hidden, lora.LowRank(hidden, training)], 1) : hidden;
    }

    /// <summary>Maps ids <c>[N]</c> laid out by <paramref name="layout"/> to hidden states <c>[N, D]</c>.</summary>
    /// <exception cref="InvalidInputException">A sequence has more than <see cref="MaxPositions"/> tokens.</exception>
    public sealed override Tensor forward(Tensor ids, SequenceLayout layout)
    {
        var longest = layout.Positions.Max() + 1;
        if (longest > MaxPositions)
            throw new InvalidInputException(
                $"A sequence has {longest} tokens, but the model has {MaxPositions} positions; " +
                "shorten it with a smaller maximum length.");
        return HeadInputs(ids, AttentionOver(layout, ids.device));
    }

    /// <summary>The attention that suits the device; see <see cref="LayoutAttention"/>.</summary>
    internal Attention AttentionOver(SequenceLayout layout, Device device) =>
        LayoutAttention.Of(layout, device, ComputeType, HeadSize, [.. Enumerable.Range(0, LayerCount).Select(StyleOf)]);

    /// <summary>
    /// Writes <c>config.json</c> and <c>model.safetensors</c> (fp32) as transformers loads them, and what else came with the
    /// model (<c>generation_config.json</c>, its licence); the tokenizer's files are written by <see cref="TextTokenizer.Save"/>.
    /// Each file is written under another name first, then renamed.
    /// </summary>
    /// <remarks>
    /// What is saved is the model as it computes, whole: an adapter is added to the weights in the file, in fp32, merged or not,
    /// while the model stays as it is. Other weights that are kept in bf16 are written so. The adapter alone is written by
    /// <c>SaveAdapter</c>.
    /// </remarks>
    /// <param name="folder">The folder; it is made where it is missing.</param>
    /// <exception cref="NotFiniteNumberException">A weight is not finite; nothing was written.</exception>
    public void Save(string folder) => ModelFolder.Save(this, folder);

    /// <summary>A copy, whole and in fp32, whose head gives one number for a hidden state in the place of logits, to be trained
    /// as a reward or a value model (Ziegler et al. 2019 begin theirs at the language model too).</summary>
    /// <param name="seed">Seeds the head's weights, by a generator of its own.</param>
    /// <param name="deviation">The standard deviation of the head's weights, 0 or more; 0.02 is what transformers draws.</param>
    /// <returns>The model, on the same device and in the same precision; the caller disposes it. An adapter is added to its
    /// weights.</returns>
    /// <exception cref="InvalidInputException">The architecture is one of your own that <see cref="ModelTypes.Register"/> was not
    /// told of.</exception>
    public TransformerModel WithScalarHead(int seed = 0, double deviation = 0.02) => ScalarHead.Over(this, seed, deviation);

    internal override ModelDescription Description => new(Config.Description(), Precision, Adapter?.Description);

    /// <summary>It knows no dropout but that of an adapter, which was asked for by name.</summary>
    internal override bool TrainsInEvaluationMode => false;

    /// <summary>Notes a field in the configuration that the model is saved with.</summary>
    internal void SetConfig(string field, JsonNode value) => Config = Config.With(field, value);

    /// <summary>Has the configuration say how many rows the embeddings have, where they were exchanged for others.</summary>
    internal void NoteVocabularySize()
    {
        vocabularySize = null;
        if (Config.Int("vocab_size") != VocabularySize)
            SetConfig("vocab_size", VocabularySize);
    }

    /// <summary>Gives the output head a weight of its own, which begins as the token embedding's.</summary>
    internal void Untie()
    {
        using var scope = NewDisposeScope();
        var vectors = Head.Weight!;
        var own = new LinearLayer((int)vectors.shape[1], (int)vectors.shape[0], hasBias: false);
        own.Replace(vectors.detach().clone(), vectors.requires_grad);
        SetHead(own);
        SetConfig("tie_word_embeddings", false);
    }

    /// <summary>Freezes the model and keeps its matrices, embeddings included, in another type.</summary>
    /// <param name="dtype">The type.</param>
    /// <param name="areFilled">Whether they hold values, which are converted; else nothing is written to their memory
    /// yet.</param>
    internal void StoreMatrices(ScalarType dtype, bool areFilled)
    {
        foreach (var parameter in parameters())
            parameter.requires_grad = false;
        foreach (var module in modules())
        {
            using var scope = NewDisposeScope();
            if (module is Projection layer && layer.Weight.dtype != dtype)
                layer.Replace(Stored(layer.Weight), isTrained: false);
            else if (module is EmbeddingTable table && table.Weight.dtype != dtype)
                table.Replace(Stored(table.Weight), isTrained: false);
        }

        Tensor Stored(Tensor weight) =>
            areFilled ? weight.detach().to(dtype) : empty(weight.shape, dtype: dtype, device: weight.device);
    }

    private void SetHead(LinearLayer layer)
    {
        register_module(HeadName, layer);
        head = layer;
    }
}
