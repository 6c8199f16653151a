namespace Dpo.Benchmarks;

/// <summary>
/// Floating point operations of one forward pass over a batch: a multiplication and an addition for every weight of a matrix
/// product, for every token that goes through it. Norms, activations and softmax are not counted.
/// </summary>
/// <remarks>
/// Linear layers: 2 a token and weight. Output head: 2·V·D a token. Attention: 4·L·width for every token that a token sees, itself
/// included. A backward pass costs twice its forward pass.
/// </remarks>
/// <param name="layers">L.</param>
/// <param name="layerWeights">Weights of a layer's matrices: 12·D² of GPT-2's.</param>
/// <param name="attentionWidth">Heads · head size of the queries.</param>
/// <param name="headWeights">V·D.</param>
internal sealed class FlopCount(double layers, double layerWeights, double attentionWidth, double headWeights)
{
    public FlopCount(Gpt2Config shape)
        : this(shape.LayerCount, 12.0 * shape.HiddenSize * shape.HiddenSize, shape.HiddenSize, (double)shape.VocabularySize * shape.HiddenSize)
    {
    }

    public FlopCount(LlamaConfig shape)
        : this(shape.LayerCount, WeightsOf(shape), shape.HiddenSize, (double)shape.VocabularySize * shape.HiddenSize)
    {
    }

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
        (2 * layers * layerWeights * tokens) + (2 * headWeights * headTokens) + (4 * layers * attentionWidth * seen);

    /// <summary>Queries and output, keys and values, and the three matrices of the feed-forward layer.</summary>
    private static double WeightsOf(LlamaConfig shape)
    {
        double width = shape.HiddenSize;
        var shared = (double)(shape.KeyValueHeadCount ?? shape.HeadCount) / shape.HeadCount;
        return (width * width * (2 + (2 * shared))) + (3 * width * shape.InnerSize);
    }

    private static double Seen(double length) => length * (length + 1) / 2;

    /// <summary>What a completion's tokens but the last see, prompt included.</summary>
    private static double SeenAfter(double prompt, double completion) => Seen(prompt + completion - 1) - Seen(prompt);
}
