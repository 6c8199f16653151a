using Dpo.Layout;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>
/// Makes any causal language model of yours, a module from ids <c>[B, T]</c> to logits <c>[B, T, V]</c>, one that Dpo trains.
/// </summary>
/// <remarks>
/// The module sees plain right-padded sequences, a prompt in front of each of its completions, so it pays for the padding,
/// for every copy of the prompt and for the logits of every token. It must be causal: padding stands to the right and is
/// told from the rest by nothing but its place. Parameters keep the names they have in the module, with
/// <c>module.</c> in front; a weight that is tied is one parameter.
/// </remarks>
public sealed class LogitsModel : CausalLanguageModel
{
    private readonly nn.Module<Tensor, Tensor> module;

    /// <summary>Wraps <paramref name="module"/>, which is disposed with this model.</summary>
    public LogitsModel(nn.Module<Tensor, Tensor> module)
        : base(nameof(LogitsModel))
    {
        ArgumentNullException.ThrowIfNull(module);
        this.module = module;
        register_module("module", module);
    }

    /// <summary>No head: the module answers with logits.</summary>
    public override OutputHead Head { get; } = new(Weight: null);

    /// <summary>The logits of every row, <c>[N, V]</c>.</summary>
    /// <exception cref="InvalidOperationException">The module answers with something else than logits <c>[B, T,
    /// V]</c>.</exception>
    public override Tensor forward(Tensor ids, SequenceLayout layout)
    {
        var padded = new PaddedLayout(layout);
        var sequences = ids.index_select(0, DeviceCopy.Of(padded.RowOfFlat, ids.device)).view(padded.Count, padded.Length);
        var logits = module.call(sequences);
        if (!(logits.shape is [var count, var length, > 0]
            && count == padded.Count && length == padded.Length && is_floating_point(logits)))
            throw new InvalidOperationException(
                $"{module.GetType().Name} was given ids [{padded.Count}, {padded.Length}] and answered with {logits.dtype} " +
                $"[{string.Join(", ", logits.shape)}]; what a LogitsModel wraps answers with logits " +
                $"[{padded.Count}, {padded.Length}, V], a number for every entry of the vocabulary.");
        return logits.flatten(0, 1).index_select(0, DeviceCopy.Of(padded.FlatOfRow, ids.device));
    }
}
