using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using Dpo.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>
/// RMSprop (Hinton's lecture 6) without momentum, not centred: <c>v = αv + (1 − α)g²</c>, <c>p −= lr · g / (√v + ε)</c>.
/// PyTorch's defaults and results, in one pass over memory on a CPU; elsewhere in a handful of operations for all parameters.
/// </summary>
/// <remarks>
/// State: one buffer of each parameter's size and data type. The result does not depend on the number of threads, which is
/// LibTorch's (<see cref="get_num_threads"/>).
/// </remarks>
public sealed class RmsProp : RestorableOptimizer
{
    // Five operations for many parameters, for which TorchSharp has no bindings.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def step(params: List[Tensor], grads: List[Tensor], square_avgs: List[Tensor],
                 lr: float, alpha: float, eps: float) -> Optional[Tensor]:
            torch._foreach_mul_(square_avgs, alpha)
            torch._foreach_addcmul_(square_avgs, grads, grads, 1 - alpha)
            roots = torch._foreach_sqrt(square_avgs)
            torch._foreach_add_(roots, eps)
            torch._foreach_addcdiv_(params, grads, roots, -lr)
            return None

        """);

    private readonly double alpha;
    private readonly double epsilon;

    /// <summary>Makes an optimizer of a model's parameters.</summary>
    /// <param name="parameters">What to train, in any floating-point type.</param>
    /// <param name="learningRate">The learning rate, 0 or more.</param>
    /// <param name="alpha">α, the share of the squares' average that a step keeps; from 0 up to, not including, 1.</param>
    /// <param name="epsilon">ε, above 0.</param>
    public RmsProp(IEnumerable<Parameter> parameters, double learningRate = 1e-2, double alpha = 0.99, double epsilon = 1e-8)
        : base(parameters, learningRate)
    {
        OptimizerArgument.RequireShare(alpha);
        OptimizerArgument.RequirePositive(epsilon);
        (this.alpha, this.epsilon) = (alpha, epsilon);
    }

    internal override string Constants => string.Create(CultureInfo.InvariantCulture, $"alpha {alpha:r}, epsilon {epsilon:r}");

    /// <summary>Bounds what an update without SIMD allocates: the square roots of so many elements, 256 MiB of fp32. Smaller
    /// parameters are updated together, a larger one in pieces.</summary>
    internal long ElementsAtOnce { get; init; } = 1 << 26;

    private protected override IReadOnlyList<string> StateNames { get; } = ["square_avg"];

    private protected override Tensor[] NewState(Parameter parameter) => [zeros_like(parameter)];

    private protected override void Update(IReadOnlyList<Slot> slots, double learningRate)
    {
        var inMemory = slots.ToLookup(slot => FloatMemory.Holds(slot.Parameter) && FloatMemory.Holds(slot.Gradient));
        UpdateMemory([.. inMemory[true]], (float)learningRate);
        // One call takes tensors of one type on one device, and loops over them where one is laid out otherwise.
        foreach (var group in inMemory[false].GroupBy(slot => (
            slot.Parameter.dtype, slot.Parameter.device_type, slot.Parameter.device_index,
            IsPlain: slot.Parameter.is_contiguous() && slot.Gradient.is_contiguous())))
        {
            UpdateTensors(group, learningRate);
        }
    }

    private void UpdateMemory(Slot[] slots, float learningRate)
    {
        FloatMemory[] parameters = [.. slots.Select(slot => new FloatMemory(slot.Parameter))];
        FloatMemory[] gradients = [.. slots.Select(slot => new FloatMemory(slot.Gradient))];
        FloatMemory[] squareAverages = [.. slots.Select(slot => new FloatMemory(slot.State[0]))];
        var chunks = FloatMemory.Chunks(slots.Select(slot => slot.Parameter));
        FloatMemory.ForEach(chunks, place =>
        {
            var chunk = chunks[place];
            var index = chunk.Tensor;
            UpdateChunk(
                parameters[index].Slice(chunk), gradients[index].Slice(chunk), squareAverages[index].Slice(chunk),
                learningRate, alpha, (float)epsilon);
        });
    }

    private static void UpdateChunk(
        Span<float> parameter, Span<float> gradient, Span<float> squareAverage, float learningRate, double alpha, float epsilon)
    {
        var (kept, added) = ((float)alpha, (float)(1 - alpha));
        var p = MemoryMarshal.Cast<float, Vector<float>>(parameter);
        var g = MemoryMarshal.Cast<float, Vector<float>>(gradient);
        var v = MemoryMarshal.Cast<float, Vector<float>>(squareAverage);
        for (var index = 0; index < p.Length; index++)
        {
            v[index] = kept * v[index] + added * g[index] * g[index];
            p[index] -= learningRate * g[index] / (Vector.SquareRoot(v[index]) + new Vector<float>(epsilon));
        }
        for (var index = p.Length * Vector<float>.Count; index < parameter.Length; index++)
        {
            squareAverage[index] = kept * squareAverage[index] + added * gradient[index] * gradient[index];
            parameter[index] -= learningRate * gradient[index] / (MathF.Sqrt(squareAverage[index]) + epsilon);
        }
    }

    private void UpdateTensors(IEnumerable<Slot> slots, double learningRate)
    {
        var (together, elements) = (new List<Tensor[]>(), 0L);
        foreach (var (parameter, gradient, state) in slots)
        {
            if (parameter.numel() > ElementsAtOnce)
            {
                TensorPieces.ForEach(
                    [parameter, gradient, state[0]], ElementsAtOnce, pieces => UpdateTogether([pieces], learningRate));
                continue;
            }
            if (elements + parameter.numel() > ElementsAtOnce)
            {
                UpdateTogether(together, learningRate);
                (together, elements) = ([], 0);
            }
            together.Add([parameter, gradient, state[0]]);
            elements += parameter.numel();
        }
        UpdateTogether(together, learningRate);
    }

    private void UpdateTogether(IReadOnlyList<Tensor[]> slots, double learningRate)
    {
        if (slots.Count == 0)
            return;
        // TorchSharp would leave numbers to the garbage collector before the script has read them.
        using var rate = learningRate.ToScalar();
        using var kept = alpha.ToScalar();
        using var added = epsilon.ToScalar();
        Tensor[] Each(int part) => [.. slots.Select(slot => slot[part])];
        script.invoke("step", Each(0), Each(1), Each(2), rate, kept, added);
    }
}
