using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// A decoder-only language model as Dpo trains it: maps token ids laid end to end, <c>[N]</c>, and their layout to the final
/// hidden states, <c>[N, D]</c>, and names the head that turns a hidden state into logits.
/// </summary>
/// <remarks>
/// Hidden states and head are apart because the head is the costly part: <see cref="CompletionLogProbs"/> runs it only on
/// the rows that predict a completion's token. An architecture is a subclass of <see cref="Transformer"/>; a module of your
/// own that maps ids <c>[B, T]</c> to logits <c>[B, T, V]</c> becomes one through <see cref="LogitsModel"/>.
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

    /// <summary>
    /// Loads a model folder in Hugging Face's layout: <c>config.json</c> and <c>model.safetensors</c>, or the older
    /// <c>pytorch_model.bin</c>, of which nothing is executed; either may be several files with an index. Weights are stored
    /// as fp32, bf16 or fp16 and become fp32.
    /// </summary>
    /// <param name="folder">The folder, as transformers' <c>save_pretrained</c> or a download makes it; or the model's name on
    /// the Hugging Face hub, such as <c>EleutherAI/pythia-2.8b</c>, where <c>hf download</c> has put it into the local cache.</param>
    /// <param name="device">Where the weights go; the CPU by default.</param>
    /// <returns>The model, in evaluation mode; the caller disposes it.</returns>
    /// <exception cref="InvalidInputException">The folder lacks a file, or a file holds what Dpo does not implement; the
    /// message names the file and the field or tensor.</exception>
    public static Transformer Load(string folder, Device? device = null) =>
        ModelFolder.Load(HubCache.Resolve(folder), device ?? CPU);

    /// <summary>The parameters, each once: a weight that is tied, and so has several names, goes by the first of them, as in PyTorch.
    /// <c>parameters()</c> follows.</summary>
    /// <returns>Those that there are now. An optimizer keeps what it is given: what an adapter adds later is not to slip in.</returns>
    public override IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) =>
        [.. base.named_parameters(recurse).DistinctBy(named => TensorMemory.Identity(named.parameter))];

    /// <summary>The device its parameters are on.</summary>
    public Device Device => parameters().First().device;
}
