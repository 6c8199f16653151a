using static TorchSharp.torch;

namespace Dpo;

/// <summary>Columns of a cache that new tokens see.</summary>
/// <param name="Keys"><c>[rows, kv heads, capacity, size]</c>, contiguous.</param>
/// <param name="Values">As the keys.</param>
/// <param name="End">Up to which column, not included.</param>
/// <param name="Hidden">Columns before which a window ends.</param>
/// <param name="Padding">How many columns of each row hold nothing, at its beginning; null for none.</param>
internal sealed record CachedColumns(Tensor Keys, Tensor Values, int End, int Hidden, IReadOnlyList<int>? Padding)
{
    /// <summary>The first column that is seen of a row.</summary>
    public int First(int row) => Math.Max(Hidden, Padding is null ? 0 : Padding[row]);
}
