using System.Numerics;
using System.Runtime.CompilerServices;

namespace Dpo.Models.Attentions;

/// <summary>Products of a query and of weights with columns of keys and values, which are read where they lie, once.</summary>
/// <remarks>Numbers are taken out of memory in pairs of vectors. Those of bf16 share their bits: what is even goes to the first
/// vector and what is odd to the second, which takes one instruction each. A query and an output are kept in that order
/// too.</remarks>
/// <typeparam name="T">How numbers are stored: float, or the bits of a bf16.</typeparam>
internal static unsafe class HeadProducts<T>
    where T : unmanaged
{
    /// <summary>Numbers of a pair of vectors. A head's size must be a multiple of it.</summary>
    public static int PairLength => 2 * Vector<float>.Count;

    /// <summary>Reads a query, <c>[size]</c>, times its scale.</summary>
    public static void Read(T* query, float scale, Span<float> row)
    {
        for (var index = 0; index < row.Length; index += PairLength)
        {
            var (first, second) = Load(query + index);
            (first * scale).CopyTo(row[index..]);
            (second * scale).CopyTo(row[(index + Vector<float>.Count)..]);
        }
    }

    /// <summary>The product of a query with every column's key.</summary>
    public static void Scores(T* keys, ReadOnlySpan<float> query, Span<float> scores)
    {
        fixed (float* start = query)
        {
            for (var column = 0; column < scores.Length; column++, keys += query.Length)
            {
                var (even, odd) = (Vector<float>.Zero, Vector<float>.Zero);
                for (var index = 0; index < query.Length; index += PairLength)
                {
                    var (first, second) = Load(keys + index);
                    even = Vector.FusedMultiplyAdd(first, Vector.Load(start + index), even);
                    odd = Vector.FusedMultiplyAdd(second, Vector.Load(start + index + Vector<float>.Count), odd);
                }
                scores[column] = Vector.Sum(even + odd);
            }
        }
    }

    /// <summary>Adds every column's value times its weight to a row.</summary>
    public static void AddWeighted(T* values, ReadOnlySpan<float> weights, Span<float> row)
    {
        fixed (float* start = row)
        {
            // Column by column, in the order of memory, which is slower than the sums' way through the first cache.
            foreach (var weight in weights)
            {
                var factor = new Vector<float>(weight);
                for (var sum = start; sum < start + row.Length; sum += PairLength, values += PairLength)
                {
                    var (first, second) = Load(values);
                    Vector.FusedMultiplyAdd(first, factor, Vector.Load(sum)).Store(sum);
                    Vector.FusedMultiplyAdd(second, factor, Vector.Load(sum + Vector<float>.Count))
                        .Store(sum + Vector<float>.Count);
                }
            }
        }
    }

    /// <summary>Writes a row, <c>[size]</c>, times a factor.</summary>
    public static void Write(ReadOnlySpan<float> row, float factor, T* output)
    {
        for (var index = 0; index < row.Length; index += PairLength)
        {
            var (first, second) =
                (new Vector<float>(row[index..]) * factor, new Vector<float>(row[(index + Vector<float>.Count)..]) * factor);
            if (typeof(T) == typeof(float))
            {
                first.Store((float*)output + index);
                second.Store((float*)output + index + Vector<float>.Count);
            }
            else
            {
                ((Rounded(first) >> 16) | (Rounded(second) & new Vector<uint>(0xFFFF0000))).Store((uint*)(output + index));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector<float> First, Vector<float> Second) Load(T* from)
    {
        if (typeof(T) == typeof(float))
            return (Vector.Load((float*)from), Vector.Load((float*)from + Vector<float>.Count));
        var bits = Vector.Load((uint*)from);
        return (Vector.AsVectorSingle(bits << 16), Vector.AsVectorSingle(bits & new Vector<uint>(0xFFFF0000)));
    }

    /// <summary>The bits of numbers, the upper half rounded to the nearest, and to the even one of two that are equally
    /// near.</summary>
    private static Vector<uint> Rounded(Vector<float> numbers)
    {
        var bits = Vector.AsVectorUInt32(numbers);
        return bits + new Vector<uint>(0x7FFF) + ((bits >> 16) & Vector<uint>.One);
    }
}
