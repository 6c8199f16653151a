using Dpo.Layout;

namespace Dpo.Models.Attentions;

/// <summary>A layout's rows as the cells of rectangles: examples of similar size, padded to the widest of them.</summary>
internal sealed class BucketCells
{
    /// <summary>Sorts the examples into buckets.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="filledShare">An example joins a bucket if it fills at least this share of its width.</param>
    public BucketCells(SequenceLayout layout, double filledShare)
    {
        CellOfRow = new long[layout.RowCount];
        var starts = new int[layout.Examples.Count];
        for (var example = 1; example < starts.Length; example++)
            starts[example] = starts[example - 1] + layout.RowsOf(example - 1);

        var (count, width, longest) = (0, 0, 0);
        foreach (var example in Enumerable.Range(0, starts.Length).OrderByDescending(layout.RowsOf))
        {
            var rows = layout.RowsOf(example);
            if (count > 0 && rows < filledShare * width)
            {
                Buckets.Add((count, width, longest));
                (count, longest) = (0, 0);
            }
            if (count == 0)
                width = rows;
            count++;
            longest = Math.Max(longest, layout.Examples[example].LongestSequence);
            Add(layout.Examples[example], starts[example], rows, width);
        }
        Buckets.Add((count, width, longest));
    }

    /// <summary>The buckets: examples, cells of each, and tokens of the longest sequence. Their cells lie one bucket behind the
    /// other.</summary>
    public List<(int Count, int Width, int Longest)> Buckets { get; } = [];

    /// <summary>Which row every cell holds.</summary>
    public List<long> RowOfCell { get; } = [];

    /// <summary>Whose every cell is: 0 of its prompt, then of a completion, from 1; padding has a number of its own.</summary>
    public List<long> OwnerOfCell { get; } = [];

    /// <summary>The cell that every row is in.</summary>
    public long[] CellOfRow { get; }

    private void Add(ExampleLengths example, int start, int rows, int width)
    {
        for (var row = 0; row < rows; row++)
            CellOfRow[start + row] = RowOfCell.Count + row;
        OwnerOfCell.AddRange(Enumerable.Repeat(0L, example.PromptLength));
        foreach (var (index, length) in example.CompletionLengths.Index())
            OwnerOfCell.AddRange(Enumerable.Repeat(index + 1L, length - 1));
        OwnerOfCell.AddRange(Enumerable.Repeat(example.CompletionLengths.Count + 1L, width - rows));
        // Padding repeats the rows, which spreads what their gradients, all zero, are added to.
        for (var cell = 0; cell < width; cell++)
            RowOfCell.Add(start + (cell % rows));
    }
}
