using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpo.Files;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Where a tensor's elements lie in a file, and how.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Dtype">The type of its elements.</param>
/// <param name="Shape">The size of each dimension.</param>
/// <param name="Strides">Elements from one index of a dimension to the next, each at least 0.</param>
/// <param name="Position">Where the first element lies, in bytes from the beginning of the file.</param>
/// <param name="BigEndian">Whether the bytes of an element are stored from the highest to the lowest.</param>
internal sealed record StoredTensor(
    string Name, SafetensorsDtype Dtype, long[] Shape, long[] Strides, long Position, bool BigEndian = false)
{
    /// <summary>The strides of a tensor whose elements lie one after the other, the last dimension's side by side.</summary>
    public static long[] ContiguousStrides(long[] shape)
    {
        var strides = new long[shape.Length];
        var stride = 1L;
        for (var dimension = shape.Length - 1; dimension >= 0; dimension--)
        {
            strides[dimension] = stride;
            stride *= Math.Max(shape[dimension], 1);
        }
        return strides;
    }

    /// <summary>Elements from the first to the last of a view, both included; null where that is too many for any file.</summary>
    public static long? Extent(ReadOnlySpan<long> shape, ReadOnlySpan<long> strides)
    {
        if (shape.Contains(0))
            return 0;
        var extent = 1L;
        for (var dimension = 0; dimension < shape.Length; dimension++)
        {
            var more = (Int128)(shape[dimension] - 1) * strides[dimension];
            if (more > long.MaxValue - extent)
                return null;
            extent += (long)more;
        }
        return extent;
    }

    /// <summary>
    /// Fills a tensor, on whatever device and contiguous or not, without recording gradients and with one chunk of 4 MiB in
    /// memory beside it.
    /// </summary>
    /// <param name="file">The open file.</param>
    /// <param name="path">Its path, for messages.</param>
    /// <param name="target">A tensor of the same shape. Floating-point values are converted to its type if that is
    /// floating-point; other types must be equal.</param>
    public void ReadInto(SafeFileHandle file, string path, Tensor target) => Visit(file, path, target, (part, values) =>
    {
        part.copy_(values);
        if (part.dtype == ScalarType.Float16 && Dtype.ScalarType != ScalarType.Float16 && part.isinf().any().item<bool>())
            throw new InvalidInputException(
                $"{path}: tensor \"{Name}\" has values beyond 65504, the largest in fp16; load it as bf16 or fp32.");
        return true;
    });

    /// <summary>Whether a tensor, of a shape and type as for <see cref="ReadInto"/>, holds these values as that would convert
    /// them; memory is the same one chunk.</summary>
    public bool Equals(SafeFileHandle file, string path, Tensor other)
    {
        var equal = true;
        Visit(file, path, other, (part, values) => equal = part.eq(values.to(part.dtype).to(part.device)).all().item<bool>());
        return equal;
    }

    /// <summary>Shows <paramref name="visit"/> all parts of the target, each with the stored values of its place, until it
    /// answers false.</summary>
    private void Visit(SafeFileHandle file, string path, Tensor target, Func<Tensor, Tensor, bool> visit)
    {
        RequireShape(path, Name, Shape, target.shape);
        if (Dtype.ScalarType != target.dtype && !(Dtype.IsFloatingPoint && is_floating_point(target.dtype)))
            throw new InvalidInputException(
                $"{path}: tensor \"{Name}\" is stored as {Dtype.Name}, which is not converted to {target.dtype}.");

        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var extent = Extent(Shape, Strides)!.Value;
        if (extent == 0)
            return;
        var chunk = empty(Math.Min(TensorPieces.MaximumBytes / Dtype.Size, extent), dtype: Dtype.ScalarType, device: CPU);
        Visit(file, path, target, Position, chunk, visit);
    }

    /// <summary>Visits a part of the target, cut where the file's strides are widest until a chunk holds what it spans.</summary>
    private bool Visit(
        SafeFileHandle file, string path, Tensor part, long position, Tensor chunk, Func<Tensor, Tensor, bool> visit)
    {
        var shape = part.shape;
        var extent = Extent(shape, Strides)!.Value;
        if (extent <= chunk.shape[0])
        {
            var elements = chunk.narrow(0, 0, extent);
            ReadElements(file, path, elements.bytes, position);
            return visit(part, elements.as_strided(shape, Strides));
        }
        var widest = Enumerable.Range(0, shape.Length).Where(dimension => shape[dimension] > 1)
            .MaxBy(dimension => Strides[dimension]);
        var stride = Strides[widest];
        var rowExtent = extent - (shape[widest] - 1) * stride;
        var step = rowExtent > chunk.shape[0] ? 1 : (chunk.shape[0] - rowExtent) / stride + 1;
        for (long start = 0; start < shape[widest]; start += step)
        {
            using var scope = NewDisposeScope();
            var rows = part.narrow(widest, start, Math.Min(step, shape[widest] - start));
            if (!Visit(file, path, rows, position + start * stride * Dtype.Size, chunk, visit))
                return false;
        }
        return true;
    }

    /// <summary>Refuses a stored tensor of another shape than is needed.</summary>
    public static void RequireShape(string path, string name, IReadOnlyList<long> shape, IReadOnlyList<long> needed)
    {
        if (!shape.SequenceEqual(needed))
            throw new InvalidInputException(
                $"{path}: tensor \"{name}\" has the shape [{string.Join(", ", shape)}], " +
                $"but the shape [{string.Join(", ", needed)}] is needed.");
    }

    private void ReadElements(SafeFileHandle file, string path, Span<byte> bytes, long position)
    {
        if (file.ReadUpTo(bytes, position) < bytes.Length)
            throw new InvalidInputException($"{path} ended while tensor \"{Name}\" was read: it shrank since it was opened.");
        if (!BigEndian)
            return;
        switch (Dtype.Size)
        {
            case 2:
                var shorts = MemoryMarshal.Cast<byte, short>(bytes);
                BinaryPrimitives.ReverseEndianness(shorts, shorts);
                break;
            case 4:
                var ints = MemoryMarshal.Cast<byte, int>(bytes);
                BinaryPrimitives.ReverseEndianness(ints, ints);
                break;
            case 8:
                var longs = MemoryMarshal.Cast<byte, long>(bytes);
                BinaryPrimitives.ReverseEndianness(longs, longs);
                break;
        }
    }
}
