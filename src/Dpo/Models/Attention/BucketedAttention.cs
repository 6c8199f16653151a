using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/> in a few large calls: examples of similar size are padded to the same and go
/// together under a mask. For GPUs, where a call costs more than some padding does.
/// </summary>
internal sealed class BucketedAttention : Attention
{
    /// <summary>An example joins a bucket if it fills at least this share of its width.</summary>
    private const double FilledShare = 0.75;

    private readonly List<Bucket> buckets = [];
    private readonly Tensor cellOfRow;

    /// <summary>Makes the positions, indices and masks, which all layers share; they belong to the current dispose scope.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="dtype">The data type of the queries.</param>
    /// <param name="windows">The sliding windows that layers will ask for.</param>
    public BucketedAttention(SequenceLayout layout, Device device, ScalarType dtype, params IEnumerable<int> windows)
    {
        Positions = tensor(layout.Positions, device: device);
        var starts = new int[layout.Examples.Count];
        for (var example = 1; example < starts.Length; example++)
            starts[example] = starts[example - 1] + layout.RowsOf(example - 1);

        var cells = new long[layout.RowCount];
        var cell = 0L;
        foreach (var (width, members) in Group(layout))
        {
            var gather = new long[members.Count * width];
            foreach (var (place, example) in members.Index())
            {
                for (var row = 0; row < width; row++)
                {
                    // Cells past the end repeat the first row; nothing is read from them.
                    var isReal = row < layout.RowsOf(example);
                    gather[place * width + row] = starts[example] + (isReal ? row : 0);
                    if (isReal)
                        cells[starts[example] + row] = cell + place * width + row;
                }
            }
            cell += gather.Length;
            var longest = members.Max(example => layout.Examples[example].LongestSequence);
            var masks = new Dictionary<int, Tensor>();
            var whole = masks[SharedPromptMask.NoWindow] = Mask(layout, members, width, SharedPromptMask.NoWindow, device, dtype);
            foreach (var window in windows)
                masks[window] = window >= longest ? whole : Mask(layout, members, width, window, device, dtype);
            buckets.Add(new Bucket(width, tensor(gather, device: device), masks));
        }
        cellOfRow = tensor(cells, device: device);
    }

    public override Tensor Positions { get; }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var outputs = buckets.ConvertAll(bucket =>
        {
            Tensor Heads(Tensor x) => x.index_select(0, bucket.RowOfCell).view(-1, bucket.Width, x.shape[1], x.shape[2]).transpose(1, 2);
            return GroupedSoftmax(Heads(query), Heads(key), Heads(value), bucket.Masks[style.Window ?? SharedPromptMask.NoWindow], style);
        });
        return cat(outputs).index_select(0, cellOfRow);
    }

    private static IEnumerable<(int Width, List<int> Members)> Group(SequenceLayout layout)
    {
        var (width, members) = (0, new List<int>());
        foreach (var example in Enumerable.Range(0, layout.Examples.Count).OrderByDescending(layout.RowsOf))
        {
            if (members.Count > 0 && layout.RowsOf(example) < FilledShare * width)
            {
                yield return (width, members);
                members = [];
            }
            if (members.Count == 0)
                width = layout.RowsOf(example);
            members.Add(example);
        }
        yield return (width, members);
    }

    private static Tensor Mask(SequenceLayout layout, List<int> members, int width, int window, Device device, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var visible = zeros(members.Count, 1, width, width, @bool, device);
        foreach (var (place, example) in members.Index())
        {
            var rows = layout.RowsOf(example);
            // Padding rows see the first column, so that their softmax is defined.
            visible[place, 0].narrow(0, rows, width - rows).narrow(1, 0, 1).FillInPlace(1);
            visible[place, 0].narrow(0, 0, rows).narrow(1, 0, rows).copy_(SharedPromptMask.Visible(layout.Examples[example], window, device));
        }
        return SharedPromptMask.Additive(visible, dtype).MoveToOuterDisposeScope();
    }

    private sealed record Bucket(int Width, Tensor RowOfCell, Dictionary<int, Tensor> Masks);
}
