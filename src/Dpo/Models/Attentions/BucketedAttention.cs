using Dpo.Layout;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/> in a few large calls: examples of similar size are padded to the same and go
/// together under a mask. For GPUs, where a call costs more than some padding does, wherever <see cref="FlashAttention"/> does
/// not serve.
/// </summary>
internal sealed class BucketedAttention : Attention
{
    /// <summary>An example joins a bucket if it fills at least this share of its width.</summary>
    private const double FilledShare = 0.75;

    private readonly List<Bucket> buckets = [];
    private readonly long[] cellsOfBucket;
    private readonly Tensor rowOfCell;
    private readonly Tensor cellOfRow;

    /// <summary>Makes the positions, indices and masks, which all layers share; they belong to the current dispose
    /// scope.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="dtype">The data type of the queries.</param>
    /// <param name="windows">The sliding windows that layers will ask for.</param>
    public BucketedAttention(SequenceLayout layout, Device device, ScalarType dtype, params IEnumerable<int> windows)
    {
        Positions = DeviceCopy.Of(layout.Positions, device);
        var cells = new BucketCells(layout, FilledShare);
        cellsOfBucket = [.. cells.Buckets.Select(bucket => (long)bucket.Count * bucket.Width)];
        rowOfCell = DeviceCopy.Of([.. cells.RowOfCell], device);
        cellOfRow = DeviceCopy.Of(cells.CellOfRow, device);
        var owners = DeviceCopy.Of([.. cells.OwnerOfCell], device).split(cellsOfBucket);
        var positions = Positions.index_select(0, rowOfCell).split(cellsOfBucket);
        foreach (var (index, (count, width, longest)) in cells.Buckets.Index())
        {
            Tensor Mask(int window)
            {
                using var scope = NewDisposeScope();
                return SharedPromptMask.Of(owners[index].view(count, width), positions[index].view(count, width), window, dtype)
                    .MoveToOuterDisposeScope();
            }

            var masks = new Dictionary<int, Tensor>();
            var whole = masks[SharedPromptMask.NoWindow] = Mask(SharedPromptMask.NoWindow);
            foreach (var window in windows)
                masks[window] = window >= longest ? whole : Mask(window);
            buckets.Add(new Bucket(width, masks));
        }
    }

    public override Tensor Positions { get; }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        // All buckets' cells at once: the backward pass of a split is one concatenation.
        var (queries, keys, values) = (Cells(query), Cells(key), Cells(value));
        var outputs = buckets.Select((bucket, index) => GroupedSoftmax(
            Heads(queries[index]), Heads(keys[index]), Heads(values[index]), SharedPromptMask.Find(bucket.Masks, style),
            style)).ToList();
        return cat(outputs).index_select(0, cellOfRow);

        Tensor[] Cells(Tensor x) =>
            [.. x.index_select(0, rowOfCell).split(cellsOfBucket)
                .Zip(buckets, (cells, bucket) => cells.unflatten(0, -1, bucket.Width))];
        static Tensor Heads(Tensor cells) => cells.transpose(1, 2);
    }

    private sealed record Bucket(int Width, Dictionary<int, Tensor> Masks);
}
