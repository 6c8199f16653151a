using Dpo.Layout;
using Dpo.Native;
using Dpo.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>
/// A decoder-only language model as Dpo trains it: maps token ids laid end to end, <c>[N]</c>, and their layout to the final
/// hidden states, <c>[N, D]</c>, and names the head that turns a hidden state into logits.
/// </summary>
/// <remarks>
/// Hidden states and head are apart because the head is the costly part: <c>CompletionLogProbs</c> runs it only on
/// the rows that predict a completion's token. An architecture, one of your own too, is a subclass of
/// <see cref="TransformerModel"/>; a module that maps ids <c>[B, T]</c> to logits <c>[B, T, V]</c> becomes one through
/// <see cref="LogitsModel"/>.
/// </remarks>
public abstract class CausalLanguageModel : nn.Module<Tensor, SequenceLayout, Tensor>
{
    /// <summary>Names the model, as <see cref="nn.Module"/> asks for.</summary>
    protected CausalLanguageModel(string name)
        : base(name)
    {
    }

    /// <summary>What turns a hidden state into logits.</summary>
    public abstract OutputHead Head { get; }

    /// <summary>The most tokens a prompt and a completion may have together, less the last one; longer examples are refused
    /// before a run begins. <see cref="int.MaxValue"/>, none, unless the model says otherwise.</summary>
    public virtual int MaxPositions => int.MaxValue;

    /// <summary>How many bytes of fp32 logits <c>CompletionLogProbs</c> keep alive at once on a GPU, in the forward and in the
    /// backward pass, 1 or more; 256 MB (2²⁸) by default. With more, the head takes fewer launches, until all rows fit; a few
    /// temporary tensors of that size come on top. No result depends on it but by rounding. It says nothing on the CPU, whose
    /// blocks are those that fit its cache, nor where the hidden states are the logits.</summary>
    public long LogitsMemory
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 1L << 28;

    /// <summary>
    /// Loads a model folder in Hugging Face's layout: <c>config.json</c> and <c>model.safetensors</c>, or the older
    /// <c>pytorch_model.bin</c>, of which nothing is executed; either may be several files with an index. Weights are stored
    /// as fp32, bf16 or fp16 and become fp32, or what <paramref name="dtype"/> says.
    /// </summary>
    /// <param name="folder">The folder, as transformers' <c>save_pretrained</c> or a download makes it; or the model's name on
    /// the Hugging Face hub, such as <c>EleutherAI/pythia-2.8b</c>, where <c>hf download</c> has put it into the local
    /// cache.</param>
    /// <param name="device">Where the weights go; the CPU by default.</param>
    /// <param name="dtype">The type in which matrices, embeddings included, are kept: fp32 by default; bf16 or fp16 take half the
    /// memory, from the first byte read on, and give a frozen model: a reference, a judge, or the base of a LoRA adapter
    /// (<c>AddLora</c>). Such weights cannot be trained themselves, since DPO's updates are too small to move them.
    /// Biases and norms are fp32 in any case, and so is what is computed unless <see cref="TransformerModel.Precision"/> says
    /// otherwise.</param>
    /// <returns>The model, in evaluation mode; the caller disposes it.</returns>
    /// <exception cref="InvalidInputException">The folder lacks a file, or a file holds what Dpo does not implement; the
    /// message names the file and the field or tensor. An architecture of your own is made known by
    /// <see cref="ModelTypes.Register"/> before.</exception>
    /// <exception cref="ArgumentException">The type is none of fp32, bf16 and fp16.</exception>
    public static TransformerModel Load(string folder, Device? device = null, ScalarType dtype = ScalarType.Float32) =>
        ModelFolder.Load(folder, device ?? CPU, dtype);

    /// <summary>Loads a folder as a model whose head gives one number for a hidden state in the place of logits: one that
    /// transformers saved as <c>…ForSequenceClassification</c> with one label, or a language model, whose head is left out for a
    /// new one.</summary>
    /// <param name="folder">As for <see cref="Load"/>.</param>
    /// <param name="device">As for <see cref="Load"/>.</param>
    /// <param name="dtype">As for <see cref="Load"/>, and so are the exceptions.</param>
    /// <param name="seed">Seeds a new head's weights, which are drawn normally with deviation 0.02 as transformers draws
    /// them.</param>
    /// <returns>The model, in evaluation mode; the caller disposes it.</returns>
    public static TransformerModel LoadScalar(
        string folder, Device? device = null, ScalarType dtype = ScalarType.Float32, int seed = 0) =>
        ModelFolder.Load(folder, device ?? CPU, dtype, scalarSeed: seed);

    /// <summary>The parameters, each once: a weight that is tied, and so has several names, goes by the first of them, as in
    /// PyTorch. <c>parameters()</c> follows.</summary>
    /// <returns>Those that there are now. An optimizer keeps what it is given: what an adapter adds later is not to slip
    /// in.</returns>
    public override IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) =>
        [.. base.named_parameters(recurse).DistinctBy(named => TensorMemory.Identity(named.parameter))];

    /// <summary>The device its parameters are on.</summary>
    public Device Device => parameters().First().device;

    /// <summary>What it computes by besides weights and code; null where nothing says so.</summary>
    internal virtual ModelDescription? Description => null;

    /// <summary>Whether it is put into evaluation mode to be trained: the paper trains without dropout.</summary>
    internal virtual bool TrainsInEvaluationMode => true;

    /// <summary>Whether it computes with an adapter that is merged into its weights.</summary>
    internal virtual bool IsMerged => false;

    /// <summary>How often it has drawn random numbers that are none of the process's generator.</summary>
    internal virtual long DropoutDraws
    {
        get => 0;
        set { }
    }

    /// <summary>Writes the weights that are trained into the folder of a checkpoint, each file flushed to the disk.</summary>
    internal virtual void WriteTrained(string folder, IReadOnlyList<(string Name, Parameter Parameter)> trained) =>
        SafetensorsWriter.Write(TrainedFile(folder), trained.Select(named => (named.Name, (Tensor)named.Parameter)));

    /// <summary>Fills them from such a folder.</summary>
    /// <exception cref="InvalidInputException">It is of another model; what was trained may be half replaced.</exception>
    internal virtual void ReadTrained(string folder, IReadOnlyList<(string Name, Parameter Parameter)> trained)
    {
        using var weights = ModelWeights.OpenFile(TrainedFile(folder));
        weights.LoadInto([.. trained.Select(named => (named.Name, (Tensor)named.Parameter))], ignored: null);
    }

    private static string TrainedFile(string folder) => Path.Combine(folder, "trained.safetensors");
}
