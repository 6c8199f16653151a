namespace Dpo.Layout;

/// <summary>The lengths, in tokens, of one example: its prompt (at least 1) and each of its completions (at least 1
/// each).</summary>
/// <param name="PromptLength">Tokens of the prompt.</param>
/// <param name="CompletionLengths">Tokens of each completion, the end-of-text token included; may be empty where only the
/// prompt is to be run through a model.</param>
public readonly record struct ExampleLengths(int PromptLength, IReadOnlyList<int> CompletionLengths)
{
    /// <summary>The most tokens a model sees of one sequence: the prompt and a completion without its last token.</summary>
    internal int LongestSequence => PromptLength + CompletionLengths.DefaultIfEmpty(1).Max() - 1;
}

/// <summary>
/// Where prompts and completions begin and end among the tokens of a micro-batch laid end to end.
/// </summary>
/// <remarks>
/// <para>A model sees every real token once and no padding: of each example the prompt, then of each completion all tokens
/// but the last, from which nothing is predicted. A completion sees its prompt and its own past, never another completion,
/// and its positions continue from the end of the prompt. So the first token of every completion is predicted from the same
/// row, the prompt's last.</para>
/// <para>With a prompt of 3 tokens <c>p</c> and completions <c>a</c> (3 tokens) and <c>b</c> (2 tokens):</para>
/// <code>
/// rows            p0 p1 p2 a0 a1 b0
/// positions        0  1  2  3  4  3
/// predicting rows  2 (of a0 and b0), 3 (a1), 4 (a2), 5 (b1)
/// </code>
/// </remarks>
public sealed class SequenceLayout
{
    private readonly int[] completionOffsets;

    /// <summary>Lays the examples end to end in the given order.</summary>
    /// <exception cref="ArgumentException">A prompt or a completion has no token.</exception>
    public SequenceLayout(IReadOnlyList<ExampleLengths> examples)
    {
        ArgumentNullException.ThrowIfNull(examples);
        var positions = new List<long>();
        var predictingRows = new List<long>();
        var predictionOfToken = new List<long>();
        var offsets = new List<int> { 0 };
        foreach (var (promptLength, completionLengths) in examples)
        {
            if (promptLength < 1 || completionLengths.Any(length => length < 1))
                throw new ArgumentException("Every prompt and every completion needs at least one token.", nameof(examples));

            for (var position = 0; position < promptLength; position++)
                positions.Add(position);
            var first = predictingRows.Count;
            if (completionLengths.Count > 0)
                predictingRows.Add(positions.Count - 1);
            foreach (var length in completionLengths)
            {
                predictionOfToken.Add(first);
                for (var token = 0; token < length - 1; token++)
                {
                    predictionOfToken.Add(predictingRows.Count);
                    predictingRows.Add(positions.Count);
                    positions.Add(promptLength + token);
                }
                offsets.Add(predictionOfToken.Count);
            }
        }
        Examples = examples;
        Positions = [.. positions];
        PredictingRows = [.. predictingRows];
        PredictionOfToken = [.. predictionOfToken];
        completionOffsets = [.. offsets];
    }

    /// <summary>The examples' lengths, in the order in which they lie.</summary>
    public IReadOnlyList<ExampleLengths> Examples { get; }

    /// <summary>Rows a model computes: N.</summary>
    public int RowCount => Positions.Length;

    /// <summary>Completions of all examples: S.</summary>
    public int CompletionCount => completionOffsets.Length - 1;

    /// <summary>The position of every row within its sequence, <c>[N]</c>.</summary>
    internal long[] Positions { get; }

    /// <summary>The rows from which a completion's token is predicted, each once, <c>[R]</c>.</summary>
    internal long[] PredictingRows { get; }

    /// <summary>For every token of every completion, in order, the entry of <see cref="PredictingRows"/> it is predicted from,
    /// <c>[M]</c>.</summary>
    internal long[] PredictionOfToken { get; }

    /// <summary>For every completion token the row whose hidden state it is predicted from, <c>[M]</c>, in the order of
    /// <see cref="CompletionOffsets"/>.</summary>
    public IReadOnlyList<long> RowOfToken => field ??= [.. PredictionOfToken.Select(place => PredictingRows[place])];

    /// <summary>Completion <c>s</c> owns the entries from <c>[s]</c> up to <c>[s + 1]</c> of every per-token list, <c>[S +
    /// 1]</c>.</summary>
    public IReadOnlyList<int> CompletionOffsets => completionOffsets;

    /// <summary>Rows of example <paramref name="index"/>: its prompt and all but the last token of each completion.</summary>
    internal int RowsOf(int index) =>
        Examples[index].PromptLength + Examples[index].CompletionLengths.Sum(length => length - 1);
}
