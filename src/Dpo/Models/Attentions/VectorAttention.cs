using System.Buffers;
using Dpo.Native;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Dpo.Models.Attentions;

/// <summary>Attention of one new token a sequence on the CPU: each head reads the columns that it sees where the cache keeps
/// them.</summary>
/// <remarks>LibTorch's products are made for many rows at once; here few rows share a key or value, so that reading them is most
/// of the work.</remarks>
/// <typeparam name="T">How numbers are stored: float, or the bits of a bf16.</typeparam>
internal static unsafe class VectorAttention<T>
    where T : unmanaged
{
    /// <summary>So many products of two numbers or fewer are not worth a second thread.</summary>
    internal const long WorkOfOneThread = 1 << 19;

    /// <summary>Whether it is for keys of this device and size.</summary>
    public static bool Takes(Tensor key) =>
        key.device_type == TorchSharp.DeviceType.CPU && key.size(-1) % HeadProducts<T>.PairLength == 0;

    /// <summary>Writes the new tokens' keys and values into the last of their sequence's own columns, and attends.</summary>
    /// <param name="query"><c>[S, heads, size]</c>.</param>
    /// <param name="key"><c>[S, kv heads, size]</c>.</param>
    /// <param name="value"><c>[S, kv heads, size]</c>.</param>
    /// <param name="prompts">The columns of every sequence's prompt.</param>
    /// <param name="own">The columns of every sequence's own.</param>
    /// <param name="style">Scale, soft cap and window.</param>
    /// <returns><c>[S, heads · size]</c>.</returns>
    public static Tensor Attend(
        Tensor query, Tensor key, Tensor value, CachedColumns prompts, CachedColumns own, AttentionStyle style)
    {
        (query, key, value) = (Lying(query), Lying(key), Lying(value));
        var (count, heads, size) = ((int)query.size(0), (int)query.size(1), (int)query.size(2));
        var keyHeads = (int)key.size(1);
        var groups = heads / keyHeads;
        var output = empty([count, heads, size], query.dtype, CPU);
        var (queries, newKeys, newValues, outputs) =
            (new HeadMemory<T>(query), new HeadMemory<T>(key), new HeadMemory<T>(value), new HeadMemory<T>(output));
        var (keys, values) = (new HeadMemory<T>(own.Keys), new HeadMemory<T>(own.Values));
        var (promptKeys, promptValues) = (new HeadMemory<T>(prompts.Keys), new HeadMemory<T>(prompts.Values));
        var (columns, longest) = Columns(count, prompts, own);
        var units = count * keyHeads;
        var parts = heads * size * columns <= WorkOfOneThread ? 1 : Math.Min(units, 4 * get_num_threads());
        if (parts == 1)
            Run(0);
        else
            ThreadTeam.Run(parts, Run);
        // Their memory was read through pointers, which the garbage collector does not see.
        GC.KeepAlive((query, key, value, prompts, own));
        return output.flatten(1);

        static Tensor Lying(Tensor x) => x.stride(2) == 1 ? x : x.contiguous();

        // Within, and long: it reads a dozen pointers and sizes of the call, which a method of its own would have to be given.
        void Run(int part)
        {
            var buffer = ArrayPool<float>.Shared.Rent(longest);
            Span<float> row = stackalloc float[size];
            for (var unit = (int)((long)units * part / parts); unit < (long)units * (part + 1) / parts; unit++)
            {
                var (sequence, head) = (unit / keyHeads, unit % keyHeads);
                var (prompt, apart, length) = (prompts.Rows![sequence], prompts.Lengths[sequence], own.Lengths[sequence]);
                new ReadOnlySpan<T>(newKeys[sequence, head], size)
                    .CopyTo(new Span<T>(keys[sequence, head] + ((length - 1) * (nint)size), size));
                new ReadOnlySpan<T>(newValues[sequence, head], size)
                    .CopyTo(new Span<T>(values[sequence, head] + ((length - 1) * (nint)size), size));

                var hidden = style.Window is { } window ? Math.Max(0, apart + length - window) : 0;
                var (firstApart, first) = (Math.Min(hidden, apart), Math.Max(0, hidden - apart));
                apart -= firstApart;
                var scores = buffer.AsSpan(0, apart + length - first);
                for (var group = 0; group < groups; group++)
                {
                    HeadProducts<T>.Read(
                        queries[sequence, (head * groups) + group], (float)(style.Scale ?? 1 / Math.Sqrt(size)), row);
                    if (apart > 0)
                        HeadProducts<T>.Scores(promptKeys[prompt, head] + (firstApart * (nint)size), row, scores[..apart]);
                    HeadProducts<T>.Scores(keys[sequence, head] + (first * (nint)size), row, scores[apart..]);
                    Exponentiate(scores, style.SoftCap);
                    row.Clear();
                    if (apart > 0)
                        HeadProducts<T>.AddWeighted(promptValues[prompt, head] + (firstApart * (nint)size), scores[..apart], row);
                    HeadProducts<T>.AddWeighted(values[sequence, head] + (first * (nint)size), scores[apart..], row);
                    HeadProducts<T>.Write(
                        row, 1 / TensorPrimitives.Sum<float>(scores), outputs[sequence, (head * groups) + group]);
                }
            }
            ArrayPool<float>.Shared.Return(buffer);
        }
    }

    /// <summary>How many columns the sequences see together, and the one that sees most.</summary>
    private static (long All, int Most) Columns(int count, CachedColumns prompts, CachedColumns own)
    {
        var (all, most) = (0L, 0);
        for (var sequence = 0; sequence < count; sequence++)
        {
            var ofSequence = prompts.Lengths[sequence] + own.Lengths[sequence];
            (all, most) = (all + ofSequence, Math.Max(most, ofSequence));
        }
        return (all, most);
    }

    /// <summary>Turns scores, capped, into their exponentials relative to the largest.</summary>
    private static void Exponentiate(Span<float> scores, double? softCap)
    {
        if (softCap is { } cap)
        {
            TensorPrimitives.Divide(scores, (float)cap, scores);
            TensorPrimitives.Tanh(scores, scores);
            TensorPrimitives.Multiply(scores, (float)cap, scores);
        }
        TensorPrimitives.Subtract(scores, TensorPrimitives.Max<float>(scores), scores);
        TensorPrimitives.Exp(scores, scores);
    }
}
