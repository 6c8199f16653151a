using Dpo.Files;
using Dpo.Layout;
using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Models.Lora;
using Dpo.Tokenization;
using Dpo.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models;

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
    private LoraAdapter? adapter;
    private int? vocabularySize;

    /// <summary>Names the model, as <see cref="nn.Module"/> asks for.</summary>
    private protected Transformer(string name, ModelConfig config)
        : base(name)
    {
        Config = config;
    }

    /// <summary>What the model's LoRA adapter was made with, or null where it has none.</summary>
    public LoraOptions? Lora => adapter?.Options;

    /// <summary>The precision of the matrix products; <see cref="Precision.Float32"/> by default.</summary>
    public Precision Precision { get; set; }

    /// <summary>Whether a block's intermediate values are computed anew in the backward pass instead of kept: activations then
    /// take one hidden state a block, for one more forward pass of the blocks. The gradients are the same.</summary>
    public bool CheckpointActivations { get; set; }

    /// <summary>The most positions a sequence may have.</summary>
    public abstract override int MaxPositions { get; }

    /// <summary>Blocks, each with one attention.</summary>
    public abstract int LayerCount { get; }

    /// <summary>Entries of the vocabulary: V.</summary>
    public int VocabularySize => vocabularySize ??= (int)PlainHead.Weight!.shape[0];

    /// <inheritdoc/>
    public sealed override OutputHead Head => OwnHead switch
    {
        { Merged: { } merged } => PlainHead with { Weight = merged },
        { Lora: { } lora } => PlainHead with { LowRank = lora.B.Weight },
        _ => PlainHead,
    };

    /// <summary>The fields of <c>config.json</c> that describe this model, as <see cref="Save"/> writes them.</summary>
    internal ModelConfig Config { get; private set; }

    /// <summary>What <see cref="CausalLanguageModel.Load"/> was given; null for a model that was made here.</summary>
    internal string? LoadedFrom { get; set; }

    /// <summary>Files of the folder that it was loaded from and that it is saved with; null for a model that was made here.</summary>
    internal CompanionFiles? Companions { get; set; }

    /// <summary>What the names of all parameters but the output head's begin with.</summary>
    internal abstract string BodyPrefix { get; }

    /// <summary>The name of the module that the output head is, where it is one.</summary>
    internal abstract string HeadName { get; }

    /// <summary>The name of the token embedding's weight.</summary>
    internal abstract string TokenVectorsName { get; }

    /// <summary>The output head where it is a module of its own; null where it is the token embedding.</summary>
    private protected abstract LinearLayer? OwnHead { get; set; }

    /// <summary>The output head without an adapter.</summary>
    private protected abstract OutputHead PlainHead { get; }

    /// <summary>The layer that the output head is; null where it is the token embedding.</summary>
    internal LinearLayer? OwnHeadLayer => OwnHead;

    /// <summary>Whether the output head is the token embedding.</summary>
    internal bool IsTied => OwnHead is null;

    /// <summary>Whether a stored tensor holds nothing a parameter needs: a constant, or a copy of a tied weight.</summary>
    internal abstract bool IsDerived(string tensor);

    /// <summary>The sliding windows that layers attend through, each once; none where all see their whole past.</summary>
    internal virtual IEnumerable<int> Windows => [];

    /// <summary>Entries of an attention head.</summary>
    internal abstract int HeadSize { get; }

    /// <summary>Whether attention scores have a soft cap.</summary>
    internal virtual bool CapsScores => false;

    /// <summary>The data type of activations that enter a matrix product.</summary>
    internal ScalarType ComputeType => Precision == Precision.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32;

    /// <summary>The final hidden states of <paramref name="ids"/>, <c>[N, D]</c> in <see cref="ComputeType"/>.</summary>
    /// <param name="ids">Token ids <c>[N]</c>, int64.</param>
    /// <param name="attention">Their positions, and which of them each may attend to.</param>
    internal abstract Tensor HiddenStates(Tensor ids, Attention attention);

    /// <summary>What <see cref="Head"/> is applied to: the hidden states, and behind them what an adapter of the head multiplies its
    /// <see cref="OutputHead.LowRank"/> with.</summary>
    internal Tensor HeadInputs(Tensor ids, Attention attention)
    {
        var hidden = HiddenStates(ids, attention);
        return OwnHead is { Merged: null, Lora: { } lora } ? cat([hidden, lora.LowRank(hidden, training)], 1) : hidden;
    }

    /// <summary>Maps ids <c>[N]</c> laid out by <paramref name="layout"/> to hidden states <c>[N, D]</c>.</summary>
    /// <exception cref="InvalidInputException">A sequence has more than <see cref="MaxPositions"/> tokens.</exception>
    public sealed override Tensor forward(Tensor ids, SequenceLayout layout)
    {
        var longest = layout.Positions.Max() + 1;
        if (longest > MaxPositions)
            throw new InvalidInputException(
                $"A sequence has {longest} tokens, but the model has {MaxPositions} positions; shorten it with a smaller maximum length.");
        return HeadInputs(ids, AttentionOver(layout, ids.device));
    }

    /// <summary>The attention that suits the device; see <see cref="LayoutAttention"/>.</summary>
    internal Attention AttentionOver(SequenceLayout layout, Device device) => LayoutAttention.Of(layout, device, ComputeType, this);

    /// <summary>
    /// Writes <c>config.json</c> and <c>model.safetensors</c> (fp32) as transformers loads them, and what else came with the model
    /// (<c>generation_config.json</c>, its licence); the tokenizer's files are written by <see cref="TextTokenizer.Save"/>. Each file is written under another name first, then renamed.
    /// </summary>
    /// <remarks>
    /// What is saved is the model as it computes, whole: an adapter is added to the weights in the file, in fp32, merged or not,
    /// while the model stays as it is. Other weights that <see cref="LoraOptions.BaseInBFloat16"/> keeps in bf16 are written so.
    /// The adapter alone is written by <see cref="SaveAdapter"/>.
    /// </remarks>
    /// <param name="folder">The folder; it is made where it is missing.</param>
    /// <exception cref="NotFiniteNumberException">A weight is not finite; nothing was written.</exception>
    public void Save(string folder) => ModelFolder.Save(this, folder);

    /// <summary>
    /// Lays a new LoRA adapter over the model and freezes all other weights. The model computes what it did before, to the bit
    /// (unless <see cref="LoraOptions.BaseInBFloat16"/> rounds it), until the adapter is trained.
    /// </summary>
    /// <remarks>
    /// <para>Call it before the <c>PolicyReferencePair</c> and the optimizer are made. The reference of a pair is then the
    /// same model with the adapter as it was given, which takes no memory but the adapter's:</para>
    /// <code>
    /// using var policy = CausalLanguageModel.Load(folder);
    /// policy.AddLora(new LoraOptions { Rank = 16, Alpha = 32, TargetModules = ["c_attn"] });
    /// using var pair = new PolicyReferencePair(policy);
    /// … train; give an optimizer of your own policy.parameters().Where(parameter => parameter.requires_grad) …
    /// policy.SaveAdapter("adapter"); // for PEFT, and for LoadAdapter
    /// policy.Save("merged");         // or a whole model
    /// </code>
    /// <para>LoRA takes larger learning rates than full training: about ten times.</para>
    /// </remarks>
    /// <param name="options">Rank, targets and the like; rank 16 over every linear layer of the blocks by default.</param>
    /// <exception cref="InvalidInputException">A target matches no linear layer, and the message lists what there is; or a rank is more than a
    /// layer can use.</exception>
    /// <exception cref="InvalidOperationException">The model has an adapter.</exception>
    public void AddLora(LoraOptions? options = null)
    {
        options ??= new LoraOptions();
        options.Validate();
        Attach(() =>
        {
            var plan = new LoraPlan(this, options);
            plan.RequireUsefulRanks();
            return new LoraAdapter(plan, Device);
        });
    }

    /// <summary>
    /// Lays an adapter out of a folder in PEFT's layout over the model, trainable, and freezes all other weights. Training goes
    /// on from it; with DPO it is part of the reference.
    /// </summary>
    /// <param name="folder">Holds <c>adapter_config.json</c> and <c>adapter_model.safetensors</c> or <c>adapter_model.bin</c>, from
    /// <see cref="SaveAdapter"/> or PEFT's <c>save_pretrained</c>. The model must be the one that it was trained on. Embeddings that PEFT saved
    /// beside the adapter, as it does by itself after a change of the vocabulary, take the place of the model's, with as many rows as they have.</param>
    /// <param name="baseInBFloat16">As <see cref="LoraOptions.BaseInBFloat16"/>, which no file holds.</param>
    /// <exception cref="InvalidInputException">A file is missing or damaged, does not fit the model, or asks for what Dpo does not
    /// implement (DoRA, single experts, …); the message names the field or tensor. The model is as it was.</exception>
    /// <exception cref="InvalidOperationException">The model has an adapter.</exception>
    public void LoadAdapter(string folder, bool baseInBFloat16 = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        Attach(() => AdapterFolder.Load(this, folder, baseInBFloat16));
    }

    /// <summary>Writes the adapter as PEFT loads it: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c> (fp32), each
    /// whole or not at all.</summary>
    /// <param name="folder">The folder; it is made where it is missing.</param>
    /// <exception cref="InvalidOperationException">The model has no adapter.</exception>
    /// <exception cref="NotFiniteNumberException">A weight is not finite; nothing was written.</exception>
    public void SaveAdapter(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        AdapterFolder.Save(RequireAdapter(), LoadedFrom, folder);
    }

    /// <summary>
    /// Has the model compute with W + scale · BA in place of two products, which is faster; the result is the same to rounding.
    /// Takes the memory of the adapted weights in fp32, since the weights themselves stay for <see cref="UnmergeAdapter"/>. A
    /// merged model cannot be trained, and stays on its device. Nothing happens where it is merged already.
    /// </summary>
    /// <remarks>For a merged model without that memory, <see cref="Save"/> it and load the folder.</remarks>
    /// <exception cref="InvalidOperationException">The model has no adapter.</exception>
    public void MergeAdapter()
    {
        if (!RequireAdapter().IsMerged)
            adapter!.Merge();
    }

    /// <summary>Undoes <see cref="MergeAdapter"/>: the model is to the bit what it was. Nothing happens where it is not merged.</summary>
    /// <exception cref="InvalidOperationException">The model has no adapter.</exception>
    public void UnmergeAdapter()
    {
        if (RequireAdapter().IsMerged)
            adapter!.Unmerge();
    }

    /// <summary>The adapter's weights by name; none without one.</summary>
    internal IEnumerable<(string Name, Parameter Parameter)> AdapterParameters => adapter?.Parameters ?? [];

    /// <summary>How often the adapter's dropout has drawn: all of its random state.</summary>
    internal override long DropoutDraws
    {
        get => adapter?.Dropout?.Draws ?? 0;
        set
        {
            if (adapter?.Dropout is { } dropout)
                dropout.Draws = value;
        }
    }

    /// <summary>Fills the adapter with weights that <see cref="SaveAdapter"/> wrote for one like it.</summary>
    internal void ReadAdapterWeights(string folder) => AdapterFolder.ReadWeights(RequireAdapter(), folder);

    /// <summary>Whether the model computes with merged weights.</summary>
    internal override bool IsMerged => adapter is { IsMerged: true };

    internal override ModelDescription Description => new(Config.Description(), Precision, Lora);

    /// <summary>It knows no dropout but that of an adapter, which was asked for by name.</summary>
    internal override bool TrainsInEvaluationMode => false;

    /// <summary>Writes a folder that <see cref="LoadAdapter"/>, or <see cref="CausalLanguageModel.Load"/>, takes; but for an
    /// adapter that is trained together with other weights.</summary>
    internal override void WriteTrained(string folder, IReadOnlyList<(string Name, Parameter Parameter)> trained)
    {
        if (IsAdapter(trained))
            SaveAdapter(folder);
        else if (Lora is null)
            Save(folder);
        else
            base.WriteTrained(folder, trained);
    }

    internal override void ReadTrained(string folder, IReadOnlyList<(string Name, Parameter Parameter)> trained)
    {
        if (IsAdapter(trained))
        {
            ReadAdapterWeights(folder);
        }
        else if (Lora is null)
        {
            using var weights = ModelWeights.OpenFile(Path.Combine(folder, ModelWeights.FileName));
            weights.LoadInto([.. named_parameters().Select(named => (named.name, (Tensor)named.parameter))], ignored: null);
        }
        else
        {
            base.ReadTrained(folder, trained);
        }
    }

    /// <summary>Whether weights are the adapter's and no others.</summary>
    private bool IsAdapter(IReadOnlyList<(string Name, Parameter Parameter)> trained) =>
        AdapterParameters.Select(named => named.Parameter.Handle).ToHashSet() is { Count: > 0 } own
        && own.SetEquals(trained.Select(named => named.Parameter.Handle));

    /// <summary>The parameters of the model as if its adapter were merged, by name. Tensors that are made for that are of the
    /// current dispose scope.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> MergedParameters() => named_parameters()
        .Select(named => (named.name, adapter is null ? named.parameter : adapter.InMergedModel(named.name, named.parameter)))
        .Where(named => named.Item2 is not null)!;

    /// <summary>Has the configuration say how many rows the embeddings have, where they were exchanged for others.</summary>
    internal void NoteVocabularySize()
    {
        vocabularySize = null;
        if (Config.Int("vocab_size") != VocabularySize)
            Config = Config.With("vocab_size", VocabularySize);
    }

    /// <summary>Gives the output head a weight of its own, which begins as the token embedding's.</summary>
    internal void Untie()
    {
        using var scope = NewDisposeScope();
        var vectors = Head.Weight!;
        var head = new LinearLayer((int)vectors.shape[1], (int)vectors.shape[0], hasBias: false);
        head.Replace(vectors.detach().clone(), vectors.requires_grad);
        register_module(HeadName, head);
        OwnHead = head;
        Config = Config.With("tie_word_embeddings", false);
    }

    /// <summary>Freezes the model and keeps its matrices, embeddings included, in another type.</summary>
    /// <param name="dtype">The type.</param>
    /// <param name="areFilled">Whether they hold values, which are converted; else nothing is written to their memory yet.</param>
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

        Tensor Stored(Tensor weight) => areFilled ? weight.detach().to(dtype) : empty(weight.shape, dtype: dtype, device: weight.device);
    }

    private void Attach(Func<LoraAdapter> make)
    {
        if (adapter is not null)
            throw new InvalidOperationException(
                "The model has an adapter already, and takes one at a time; to build on it, save the model, which adds it to the weights, and load that folder.");
        var made = make();
        made.Attach(this);
        adapter = made;
    }

    private LoraAdapter RequireAdapter() => adapter ?? throw new InvalidOperationException(
        "The model has no adapter; give it one with AddLora or LoadAdapter.");
}
