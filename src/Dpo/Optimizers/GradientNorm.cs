using System.Numerics;
using System.Runtime.InteropServices;
using Dpo.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>The global L2 norm of gradients, and clipping by it.</summary>
internal static class GradientNorm
{
    // A few operations for all gradients, for which TorchSharp has no bindings.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def norms(grads: List[Tensor], dtype: int) -> Tensor:
            return torch.stack(torch._foreach_norm(grads, 2, dtype=dtype))

        def scale(grads: List[Tensor], factor: Tensor) -> Optional[Tensor]:
            torch._foreach_mul_(grads, factor)
            return None

        """);

    /// <summary>
    /// Scales gradients by min(1, maximum / (norm + 1e-6)), as PyTorch does. The norm is summed in fp64 where the device has
    /// that: in fp32 LibTorch's is off by up to a thousandth where a matrix has tens of millions of entries. On a CPU it is the
    /// same for any number of threads; elsewhere nothing waits for it.
    /// </summary>
    /// <returns>The norm before scaling, a scalar on the gradients' device. Where it is not finite, the gradients are good for
    /// nothing.</returns>
    public static Tensor Clip(IReadOnlyList<Parameter> parameters, double maximum)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Tensor[] gradients = [.. parameters.Select(parameter => parameter.grad).OfType<Tensor>()];
        var norm = gradients.All(FloatMemory.Holds)
            ? tensor(ClipMemory(gradients, maximum), float64, CPU)
            : ClipTensors(gradients, maximum);
        return norm.MoveToOuterDisposeScope();
    }

    private static Tensor ClipTensors(Tensor[] gradients, double maximum)
    {
        // One call takes tensors of one type on one device.
        Tensor[][] groups =
            [.. gradients.GroupBy(gradient => (gradient.dtype, gradient.device_type, gradient.device_index))
                .Select(group => group.ToArray())];
        var device = gradients[0].device;
        // TorchSharp would leave the number to the garbage collector before the script has read it.
        using var precision = ((int)HostRead.Precision(device)).ToScalar();
        var norms = cat([.. groups.Select(group => script.invoke<Tensor>("norms", group, precision).to(device))]);
        var norm = (norms * norms).sum().sqrt();
        var factor = norm.Plus(1e-6).reciprocal().Times(maximum).AtMost(1);
        foreach (var group in groups)
            script.invoke("scale", group, factor.to(group[0].dtype, group[0].device));
        return norm;
    }

    private static double ClipMemory(Tensor[] gradients, double maximum)
    {
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
