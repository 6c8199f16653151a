using Dpo.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>Sums over pieces of a list, by one operation for all of them, and one in the backward pass.</summary>
internal static class SegmentSums
{
    // TorchSharp has no binding for it. Unsafe leaves out a look at the lengths, for which a GPU would be waited for.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def sums(values: Tensor, offsets: Tensor) -> Tensor:
            return torch.segment_reduce(values, "sum", offsets=offsets, axis=0, unsafe=True)

        """);

    /// <summary>The sums, <c>[S]</c>, in the values' type; each is added up in float64 on a CPU and on CUDA, and depends on
    /// nothing but its own values.</summary>
    /// <param name="values">The list, <c>[M]</c>.</param>
    /// <param name="offsets">Piece <c>s</c> lies from <c>[s]</c> up to <c>[s + 1]</c>; <c>[S + 1]</c>, from 0, ascending, up to
    /// M.</param>
    public static Tensor Of(Tensor values, long[] offsets) => values.device_type is DeviceType.CPU or DeviceType.CUDA
        ? ((Tensor)script.invoke("sums", values.to(float64), DeviceCopy.Of(offsets, values.device))).to(values.dtype)
        : OneByOne(values, offsets);

    /// <summary>The same where that operation, or float64, is not to be had: an operation a piece, in the values' type.</summary>
    internal static Tensor OneByOne(Tensor values, long[] offsets) =>
        stack(values.split([.. offsets.Zip(offsets.Skip(1), (begin, end) => end - begin)]).Select(piece => piece.sum()));
}
