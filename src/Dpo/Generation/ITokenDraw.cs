using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>Draws a token of every sequence of a batch.</summary>
internal interface ITokenDraw
{
    /// <summary>Draws.</summary>
    /// <param name="logits"><c>[S, V]</c>, fp32 or bf16.</param>
    /// <param name="sequences">The sequences, <c>[S]</c>, each of which supplies a uniform number. Null for an empty place,
    /// whose token does not matter.</param>
    /// <param name="last">Tokens that were drawn before, <c>[S]</c>, int64, on the logits' device, where sequences may not have
    /// been told yet; or null.</param>
    /// <returns>The ids, and their log-probabilities, <c>[2, S]</c>, fp64, on the device that draws. A log-probability is no
    /// finite number where the logits are no distribution.</returns>
    public Tensor Draw(Tensor logits, IReadOnlyList<SampledSequence?> sequences, Tensor? last);
}
