using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Columns of a cache that sequences see: sequence i the first <c>Lengths[i]</c> of its row.</summary>
/// <param name="Keys"><c>[rows, kv heads, capacity, size]</c>, contiguous.</param>
/// <param name="Values">As the keys.</param>
/// <param name="Rows">The row of every sequence, which several may share; null where sequence i has row i.</param>
/// <param name="Lengths">How many of its columns it sees.</param>
internal sealed record CachedColumns(Tensor Keys, Tensor Values, int[]? Rows, int[] Lengths);
