using Dpo.Layout;

namespace Dpo.Models.Attentions;

/// <summary>A layout as sequences of keys, of each of which the last rows are queries; queries lie in the layout's
/// order.</summary>
internal sealed class FlashSequences
{
    /// <summary>Takes a layout apart.</summary>
    public FlashSequences(SequenceLayout layout)
    {
        var start = 0;
        foreach (var (prompt, completions) in layout.Examples)
        {
            var lengths = completions.Select(length => length - 1).Where(length => length > 0).ToArray();
            var row = start;
            Add(before: 0, rows: prompt + lengths.FirstOrDefault());
            foreach (var length in lengths.Skip(1))
                Add(prompt, length);
            start = row;

            void Add(int before, int rows)
            {
                for (var index = 0; index < before; index++)
                    RowOfKey.Add(start + index);
                for (var index = 0; index < rows; index++)
                    RowOfKey.Add(row++);
                QueryStarts.Add(row);
                KeyStarts.Add(RowOfKey.Count);
                (MostQueries, MostKeys) = (Math.Max(MostQueries, rows), Math.Max(MostKeys, before + rows));
            }
        }
    }

    /// <summary>Where every sequence's queries begin among the layout's rows, and at last where they end.</summary>
    public List<int> QueryStarts { get; } = [0];

    /// <summary>Where every sequence's keys begin among <see cref="RowOfKey"/>, and at last where they end.</summary>
    public List<int> KeyStarts { get; } = [0];

    /// <summary>The layout's row of every key.</summary>
    public List<long> RowOfKey { get; } = [];

    /// <summary>Queries of the sequence that has most.</summary>
    public int MostQueries { get; private set; }

    /// <summary>Keys of the sequence that has most.</summary>
    public int MostKeys { get; private set; }
}
