using System.Buffers;
using System.Runtime.InteropServices;
using Dpo.Native;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Dpo.Generation;

/// <summary>Draws on the CPU, to which the logits are copied where they are elsewhere.</summary>
/// <param name="options">How.</param>
/// <param name="drawable">The ids that may be drawn; null for all.</param>
internal sealed class HostDraw(SamplingOptions options, DrawableIds? drawable) : ITokenDraw
{
    public Tensor Draw(Tensor logits, IReadOnlyList<SampledSequence?> sequences, Tensor? last)
    {
        var count = sequences.Count;
        var values = new double[2 * count];
        using var here = logits.cpu();
        ThreadTeam.Run(count, place =>
        {
            if (sequences[place] is not { } sequence)
                return;
            using var row = here.select(0, place);
            if (row.dtype == float32)
            {
                (values[place], values[count + place]) = TokenDraw.Draw(
                    MemoryMarshal.Cast<byte, float>(row.bytes), sequence.TakeUniform(), sequence.Seen, options, drawable);
                return;
            }
            // A bf16 is the upper half of a float.
            var bits = ArrayPool<uint>.Shared.Rent((int)row.numel());
            var floats = bits.AsSpan(0, (int)row.numel());
            TensorPrimitives.ConvertTruncating<ushort, uint>(MemoryMarshal.Cast<byte, ushort>(row.bytes), floats);
            TensorPrimitives.ShiftLeft<uint>(floats, 16, floats);
            (values[place], values[count + place]) = TokenDraw.Draw(
                MemoryMarshal.Cast<uint, float>(floats), sequence.TakeUniform(), sequence.Seen, options, drawable);
            ArrayPool<uint>.Shared.Return(bits);
        });
        return tensor(values, device: CPU).view(2, count);
    }
}
