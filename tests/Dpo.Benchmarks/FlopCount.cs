namespace Dpo.Benchmarks;

/// <summary>
/// Floating point operations of one forward pass over a batch: a multiplication and an addition for every weight of a matrix
/// product, for every token that goes through it. Norms, activations and softmax are not counted.
/// </summary>
/// <remarks>
/// Linear layers: 2·12·L·D² a token. Output head: 2·V·D a token. Attention: 4·L·D for every token that a token sees, itself
/// included. A backward pass costs twice its forward pass.
/// </remarks>
internal sealed class FlopCount(Gpt2Config shape)
{
    /// <summary>Each prompt once, no padding, and the head only on the tokens that predict one of a completion.</summary>
    public double Useful(IEnumerable<PairLengths> batch) => batch.Sum(pair => Forward(
        tokens: pair.UsefulTokens - 2,
        headTokens: pair.Chosen + pair.Rejected - 1,
        seen: Seen(pair.Prompt) + SeenAfter(pair.Prompt, pair.Chosen) + SeenAfter(pair.Prompt, pair.Rejected)));

    /// <summary>A prompt in front of each completion, all padded to the longest, and the head on every token.</summary>
    public double Padded(IReadOnlyList<PairLengths> batch)
    {
        var (sequences, length) = (2.0 * batch.Count, batch.Max(pair => pair.Longest));
        return Forward(sequences * length, sequences * length, sequences * Seen(length));
    }

    /// <summary>A prompt in front of each completion, no padding, and the head only where it predicts.</summary>
    public double Unshared(IEnumerable<PairLengths> batch) => batch.Sum(pair => Forward(
        tokens: pair.UsefulTokens + pair.Prompt - 2,
        headTokens: pair.Chosen + pair.Rejected,
        seen: Seen(pair.Prompt + pair.Chosen - 1) + Seen(pair.Prompt + pair.Rejected - 1)));

    private double Forward(double tokens, double headTokens, double seen) =>
        (24.0 * shape.LayerCount * shape.HiddenSize * shape.HiddenSize * tokens)
        + (2.0 * shape.VocabularySize * shape.HiddenSize * headTokens)
        + (4.0 * shape.LayerCount * shape.HiddenSize * seen);

    private static double Seen(double length) => length * (length + 1) / 2;

    /// <summary>What a completion's tokens but the last see, prompt included.</summary>
    private static double SeenAfter(double prompt, double completion) => Seen(prompt + completion - 1) - Seen(prompt);
}
