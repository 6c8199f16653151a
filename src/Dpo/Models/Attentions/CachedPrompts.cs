using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Keys and values of prompts, each kept once for all sequences that continue it.</summary>
/// <param name="layers">Blocks of the model.</param>
/// <param name="width">The most tokens of a prompt.</param>
/// <param name="mayBeEmpty">Whether memory that no prompt has written may stay as it is, since
/// <see cref="VectorAttention{T}"/> reads the cache; otherwise it is zeroed.</param>
internal sealed class CachedPrompts(int layers, int width, bool mayBeEmpty) : IDisposable
{
    private readonly Tensor?[] keys = new Tensor?[layers];
    private readonly Tensor?[] values = new Tensor?[layers];

    /// <summary>Tokens of every row's prompt; 0 for a row that is free.</summary>
    private readonly List<int> lengths = [];

    /// <summary>Rows up to the last that holds a prompt.</summary>
    public int Count => lengths.FindLastIndex(length => length > 0) + 1;

    /// <summary>Tokens of the longest prompt that is held.</summary>
    public int Longest => lengths.Max();

    /// <summary>Keys of a layer, <c>[rows, kv heads, width, size]</c>; a prompt begins in its row's first column.</summary>
    public Tensor Keys(int layer) => keys[layer]!;

    /// <summary>Values of a layer, as the keys.</summary>
    public Tensor Values(int layer) => values[layer]!;

    /// <summary>Tokens of the prompt in a row.</summary>
    public int Length(int row) => lengths[row];

    /// <summary>Takes the first row that is free.</summary>
    public int Add(int length)
    {
        var row = lengths.IndexOf(0);
        if (row < 0)
        {
            lengths.Add(length);
            return lengths.Count - 1;
        }
        lengths[row] = length;
        return row;
    }

    /// <summary>Gives a row up.</summary>
    public void Remove(int row) => lengths[row] = 0;

    /// <summary>Where the tokens of prompts that lie end to end are stored, <c>[T · kv heads]</c>, of the current dispose
    /// scope.</summary>
    /// <param name="rows">The prompts' rows.</param>
    /// <param name="keyHeads">Heads of a key.</param>
    /// <param name="device">The cache's device.</param>
    public Tensor Index(IEnumerable<int> rows, int keyHeads, Device device) => DeviceCopy.Of(
        [
            .. from row in rows
               from column in Enumerable.Range(0, lengths[row])
               from head in Enumerable.Range(0, keyHeads)
               select (((long)row * keyHeads) + head) * width + column,
        ],
        device);

    /// <summary>Stores keys and values <c>[T, kv heads, size]</c> of prompts that lie end to end.</summary>
    public void Store(int layer, Tensor index, Tensor key, Tensor value)
    {
        Write(Grown(ref keys[layer], key), index, key);
        Write(Grown(ref values[layer], value), index, value);
    }

    /// <summary>Writes entries <c>[N, kv heads, size]</c> into a cache <c>[rows, kv heads, columns, size]</c>.</summary>
    /// <param name="cache">The cache, contiguous.</param>
    /// <param name="index">Where, among all columns of all heads of all rows: <c>[N · kv heads]</c>.</param>
    /// <param name="entries">What.</param>
    public static void Write(Tensor cache, Tensor index, Tensor entries) =>
        cache.view(-1, cache.shape[3]).index_copy_(0, index, entries.reshape(-1, cache.shape[3]));

    /// <summary>A cache <c>[rows, kv heads, columns, size]</c> of no dispose scope. Vectors read what was written and nothing
    /// else, and leave the rest of it to the system; what is masked is multiplied by 0, and must be a number.</summary>
    public static Tensor New(long rows, int columns, Tensor like, bool mayBeEmpty)
    {
        long[] shape = [rows, like.shape[1], columns, like.shape[^1]];
        var cache = mayBeEmpty && VectorAttention<float>.Takes(like)
            ? empty(shape, like.dtype, like.device)
            : zeros(shape, like.dtype, like.device);
        return cache.DetachFromDisposeScope();
    }

    /// <summary>A cache of as many rows as there are; twice as many as before where they no longer suffice, so that few are
    /// copied.</summary>
    private Tensor Grown(ref Tensor? cache, Tensor like)
    {
        var rows = cache?.shape[0] ?? 0;
        if (rows >= lengths.Count)
            return cache!;
        var grown = New(Math.Max(lengths.Count, 2 * rows), width, like, mayBeEmpty);
        if (cache is not null)
            grown.narrow(0, 0, rows).copy_(cache);
        cache?.Dispose();
        return cache = grown;
    }

    public void Dispose()
    {
        foreach (var tensor in keys.Concat(values))
            tensor?.Dispose();
    }
}
