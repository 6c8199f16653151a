using System.Numerics;
using System.Runtime.InteropServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>The global L2 norm of gradients, and clipping by it.</summary>
internal static class GradientNorm
{
    /// <summary>
    /// Scales gradients by min(1, maximum / (norm + 1e-6)), as PyTorch does. On a CPU the norm is summed in fp64, the same for any
    /// number of threads; LibTorch's, in fp32, is off by up to a thousandth where a matrix has tens of millions of entries.
    /// </summary>
    /// <returns>The norm before scaling; nothing is scaled where it is not a number.</returns>
    public static double Clip(IReadOnlyList<Parameter> parameters, double maximum)
    {
        using var scope = NewDisposeScope();
        Tensor[] gradients = [.. parameters.Select(parameter => parameter.grad).OfType<Tensor>()];
        if (!gradients.All(FloatMemory.Holds))
            return nn.utils.clip_grad_norm_(parameters, maximum);

        FloatMemory[] memory = [.. gradients.Select(gradient => new FloatMemory(gradient))];
        var chunks = FloatMemory.Chunks(gradients);
        var squares = new double[chunks.Length];
        FloatMemory.ForEach(chunks, place => squares[place] = SumOfSquares(memory[chunks[place].Tensor].Slice(chunks[place])));
        var norm = Math.Sqrt(squares.Sum());
        var factor = maximum / (norm + 1e-6);
        if (factor < 1)
            FloatMemory.ForEach(chunks, place => Scale(memory[chunks[place].Tensor].Slice(chunks[place]), (float)factor));
        return norm;
    }

    private static double SumOfSquares(Span<float> values)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        var (low, high) = (Vector<double>.Zero, Vector<double>.Zero);
        foreach (var vector in vectors)
        {
            Vector.Widen(vector, out var lower, out var upper);
            low += lower * lower;
            high += upper * upper;
        }
        var sum = Vector.Sum(low + high);
        foreach (double value in values[(vectors.Length * Vector<float>.Count)..])
            sum += value * value;
        return sum;
    }

    private static void Scale(Span<float> values, float factor)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        foreach (ref var vector in vectors)
            vector *= factor;
        foreach (ref var value in values[(vectors.Length * Vector<float>.Count)..])
            value *= factor;
    }
}
