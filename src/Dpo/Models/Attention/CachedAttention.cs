using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Attention of B sequences that grow in step, with the keys and values of what came before kept. Every call covers the same
/// number of new tokens of each sequence.
/// </summary>
/// <remarks>
/// Sequences of unequal length need no mask of their own: a token is stored in the column of its position, and a query sees
/// the columns up to its own. Whatever the padding of a shorter prompt left behind lies further right, and is overwritten by
/// the real token before any query may see it.
/// </remarks>
internal sealed class CachedAttention : Attention, IDisposable
{
    private readonly Tensor?[] keys;
    private readonly Tensor?[] values;
    private readonly long sequences;
    private readonly long capacity;
    private Tensor positions = empty(0);
    private Tensor visible = empty(0);

    /// <summary>Makes an empty cache.</summary>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="sequences">B.</param>
    /// <param name="capacity">The most tokens a sequence will have.</param>
    public CachedAttention(int layers, long sequences, long capacity)
    {
        keys = new Tensor?[layers];
        values = new Tensor?[layers];
        this.sequences = sequences;
        this.capacity = capacity;
    }

    public override Tensor Positions => positions;

    /// <summary>Says which tokens come next.</summary>
    /// <param name="next">Their positions, <c>[B · T]</c>, sequence by sequence.</param>
    public void Advance(Tensor next)
    {
        Dispose(positions, visible);
        positions = next.alias().DetachFromDisposeScope();
        var columns = next.max().item<long>() + 1;
        visible = arange(columns, device: next.device).le(next.view(sequences, 1, -1, 1)).DetachFromDisposeScope();
    }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        return GroupedSoftmax(
            Heads(query), Store(ref keys[layer], Heads(key)), Store(ref values[layer], Heads(value)), Mask(style.Window), style);

        // [B · T, heads, size] → [B, heads, T, size]
        Tensor Heads(Tensor x) => x.view(sequences, -1, x.shape[1], x.shape[2]).transpose(1, 2);
    }

    /// <summary>The columns that the new tokens see, <c>[B, 1, T, columns]</c>.</summary>
    private Tensor Mask(int? window)
    {
        if (window is not { } size || size >= visible.shape[^1])
            return visible;
        var columns = arange(visible.shape[^1], device: visible.device);
        return visible.logical_and(columns.gt(positions.view(sequences, 1, -1, 1) - size));
    }

    /// <summary>Writes the new tokens' entries into their columns and answers with all columns in use.</summary>
    private Tensor Store(ref Tensor? cache, Tensor entries)
    {
        var (heads, size) = (entries.shape[1], entries.shape[3]);
        cache ??= zeros([sequences, heads, capacity, size], entries.dtype, entries.device).DetachFromDisposeScope();
        var columns = positions.view(sequences, 1, -1, 1).expand(-1, heads, -1, size);
        cache.scatter_(2, columns, entries);
        return cache.narrow(2, 0, visible.shape[^1]);
    }

    public void Dispose() => Dispose([positions, visible, .. keys, .. values]);

    private static void Dispose(params Tensor?[] tensors)
    {
        foreach (var tensor in tensors)
            tensor?.Dispose();
    }
}
