using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019) with β (0.9, 0.999), ε 1e-8, bias correction and decoupled weight decay of matrices only: biases
/// and the gains of norms, which are vectors, do not decay. The results are PyTorch's; the update is one pass over memory, on
/// LibTorch's fused kernels for CPU and CUDA.
/// </summary>
/// <remarks>State: two buffers of each parameter's size and data type, and its count of steps.</remarks>
public sealed class FusedAdamW : RestorableOptimizer
{
    // TorchSharp has no binding for the fused kernel, but TorchScript sees every operator.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def step(params: List[Tensor], grads: List[Tensor], exp_avgs: List[Tensor], exp_avg_sqs: List[Tensor], steps: List[Tensor],
                 lr: float, weight_decay: float) -> Optional[Tensor]:
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(params, grads, exp_avgs, exp_avg_sqs, [], steps, lr=lr, beta1=0.9, beta2=0.999,
                                weight_decay=weight_decay, eps=1e-8, amsgrad=False, maximize=False)
            return None

        """);

    private readonly double weightDecay;

    /// <summary>Makes an optimizer of a model's parameters.</summary>
    /// <param name="parameters">What to train; each contiguous, in any floating-point type.</param>
    /// <param name="learningRate">The learning rate, 0 or more.</param>
    /// <param name="weightDecay">What share of a matrix a learning rate of 1 would take away at each step; 0 or more.</param>
    /// <exception cref="ArgumentException">A parameter is not contiguous.</exception>
    public FusedAdamW(IEnumerable<Parameter> parameters, double learningRate = 1e-3, double weightDecay = 0)
        : base(parameters, learningRate)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(weightDecay);
        this.weightDecay = weightDecay;
        // The kernel walks parameters, gradients and states as memory.
        if (this.parameters().Index().FirstOrDefault(entry => !entry.Item.is_contiguous()) is { Item: not null } entry)
            throw new ArgumentException($"Parameter {entry.Index} is not contiguous; use TorchSharp's AdamW.", nameof(parameters));
    }

    private protected override IReadOnlyList<string> StateNames { get; } = ["exp_avg", "exp_avg_sq", "step"];

    private protected override Tensor[] NewState(Parameter parameter) =>
        [zeros_like(parameter), zeros_like(parameter), zeros([], float32, parameter.device)];

    private protected override void Update(IReadOnlyList<Slot> slots, double learningRate)
    {
        foreach (var group in slots.GroupBy(slot => slot.Parameter.dim() > 1 ? weightDecay : 0))
        {
            // TorchSharp would leave numbers to the garbage collector before the script has read them.
            using var rate = learningRate.ToScalar();
            using var decay = group.Key.ToScalar();
            script.invoke(
                "step",
                group.Select(slot => (Tensor)slot.Parameter).ToArray(),
                group.Select(slot => slot.Gradient.contiguous()).ToArray(),
                group.Select(slot => slot.State[0]).ToArray(),
                group.Select(slot => slot.State[1]).ToArray(),
                group.Select(slot => slot.State[2]).ToArray(),
                rate,
                decay);
        }
    }
}
