using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>What lies behind a tensor's handle: the one place that asks for it by pointers.</summary>
internal static unsafe class TensorMemory
{
    /// <summary>Where a tensor's first element lies; valid while the tensor lives and keeps its storage.</summary>
    /// <typeparam name="T">How its elements are stored: float, or the bits of a bf16.</typeparam>
    /// <param name="tensor">On the CPU, not empty, of elements of the size of <typeparamref name="T"/>; of any strides.</param>
    public static T* Start<T>(Tensor tensor)
        where T : unmanaged
    {
        // A tensor's bytes fit a span up to 2 GiB only, those of its first element always. A view's first element need not be its
        // storage's: a parameter may be a part of a larger one, and a gradient a part of what `cat` was given.
        using var first = tensor.as_strided([1], [1], tensor.storage_offset());
        return (T*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(MemoryMarshal.Cast<byte, T>(first.bytes)));
    }

    /// <summary>The same number for all handles of one tensor, whatever its device, and for no other tensor that is
    /// alive.</summary>
    /// <remarks>A handle of TorchSharp's is the address of a C++ <c>at::Tensor</c>, which is a pointer to the tensor and nothing
    /// else.</remarks>
    public static nint Identity(Tensor tensor) => *(nint*)tensor.Handle;
}
