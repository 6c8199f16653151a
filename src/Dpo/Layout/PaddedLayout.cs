namespace Dpo.Layout;

/// <summary>
/// The same tokens as plain right-padded sequences, one per completion with its prompt in front: what a model that knows
/// nothing of layouts takes. The prompt is computed once per completion.
/// </summary>
internal sealed class PaddedLayout
{
    public PaddedLayout(SequenceLayout layout)
    {
        var sequences = new List<long[]>();
        FlatOfRow = new long[layout.RowCount];
        Length = layout.Examples.Max(example => example.LongestSequence);

        var start = 0;
        foreach (var (promptLength, completionLengths) in layout.Examples)
        {
            for (var row = 0; row < promptLength; row++)
                FlatOfRow[start + row] = sequences.Count * Length + row;

            var own = start + promptLength;
            foreach (var length in completionLengths.DefaultIfEmpty(1))
            {
                for (var token = 0; token < length - 1; token++)
                    FlatOfRow[own + token] = sequences.Count * Length + promptLength + token;
                sequences.Add([.. Range(start, promptLength), .. Range(own, length - 1)]);
                own += length - 1;
            }
            start = own;
        }

        Count = sequences.Count;
        RowOfFlat = new long[Count * Length];
        for (var sequence = 0; sequence < Count; sequence++)
            sequences[sequence].CopyTo(RowOfFlat, sequence * Length);
    }

    /// <summary>Sequences: one per completion, one per example that has none.</summary>
    public int Count { get; }

    /// <summary>Tokens of the longest sequence.</summary>
    public int Length { get; }

    /// <summary>For every cell of the padded <c>[Count, Length]</c> matrix the row whose token it holds; cells past the end
    /// of a sequence hold row 0's, which a causal model cannot see from before.</summary>
    public long[] RowOfFlat { get; }

    /// <summary>For every row a cell that computes it; a prompt's rows are taken from its first completion.</summary>
    public long[] FlatOfRow { get; }

    private static IEnumerable<long> Range(int start, int count) => Enumerable.Range(start, count).Select(row => (long)row);
}
