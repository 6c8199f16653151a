using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>The memory of a tensor <c>[…, size]</c> on the CPU whose rows each lie in one piece; valid while the tensor
/// lives.</summary>
/// <typeparam name="T">How its numbers are stored: float, or the bits of a bf16.</typeparam>
internal readonly unsafe struct HeadMemory<T>
    where T : unmanaged
{
    private readonly T* start;
    private readonly nint rowStride;
    private readonly nint headStride;

    /// <param name="tensor">At least two dimensions before the last: rows and heads.</param>
    public HeadMemory(Tensor tensor)
    {
        start = TensorMemory.Start<T>(tensor);
        (rowStride, headStride) = ((nint)tensor.stride(0), (nint)tensor.stride(1));
    }

    /// <summary>Where a row's head begins.</summary>
    public T* this[int row, int head] => start + (row * rowStride) + (head * headStride);
}
