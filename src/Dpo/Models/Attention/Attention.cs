using static TorchSharp.torch;

namespace Dpo;

/// <summary>Which tokens attend to which: the one thing about a batch's shape that a transformer's blocks do not know.</summary>
internal abstract class Attention
{
    /// <summary>The position of every token in its sequence, <c>[N]</c>, int64.</summary>
    public abstract Tensor Positions { get; }

    /// <summary>Softmax attention, scaled by 1/√(head size).</summary>
    /// <param name="layer">The block's index, from 0.</param>
    /// <param name="query"><c>[N, heads, head size]</c>.</param>
    /// <param name="key"><c>[N, heads, head size]</c>.</param>
    /// <param name="value"><c>[N, heads, head size]</c>.</param>
    /// <returns><c>[N, heads · head size]</c>.</returns>
    public abstract Tensor Attend(int layer, Tensor query, Tensor key, Tensor value);
}
