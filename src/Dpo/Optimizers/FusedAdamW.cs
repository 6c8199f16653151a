using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019) with bias correction and decoupled weight decay of matrices only: biases
/// and the gains of norms, which are vectors, do not decay. The results are PyTorch's; the update is one pass over memory, on
/// LibTorch's fused kernels for CPU and CUDA.
/// </summary>
/// <remarks>State: two buffers of each parameter's size and data type, and its count of steps.</remarks>
public sealed class FusedAdamW : RestorableOptimizer
{
    // TorchSharp has no binding for the fused kernel, but TorchScript sees every operator.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def step(params: List[Tensor], grads: List[Tensor], exp_avgs: List[Tensor], exp_avg_sqs: List[Tensor],
                 steps: List[Tensor], lr: float, weight_decay: float, beta1: float, beta2: float,
                 eps: float) -> Optional[Tensor]:
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(params, grads, exp_avgs, exp_avg_sqs, [], steps, lr=lr, beta1=beta1, beta2=beta2,
                                weight_decay=weight_decay, eps=eps, amsgrad=False, maximize=False)
            return None

        """);

    private readonly double weightDecay;
    private readonly double beta1;
    private readonly double beta2;
    private readonly double epsilon;

    /// <summary>Makes an optimizer of a model's parameters.</summary>
    /// <param name="parameters">What to train, in any floating-point types and on any devices. One that is not contiguous is
    /// copied for the update and written back.</param>
    /// <param name="learningRate">The learning rate, 0 or more.</param>
    /// <param name="weightDecay">What share of a matrix a learning rate of 1 would take away at each step; 0 or more.</param>
    /// <param name="beta1">β₁, the share of the gradients' average that a step keeps; from 0 up to, not including, 1.</param>
    /// <param name="beta2">β₂, the same of the squares' average.</param>
    /// <param name="epsilon">ε, above 0.</param>
    public FusedAdamW(
        IEnumerable<Parameter> parameters, double learningRate = 1e-3, double weightDecay = 0,
        double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
        : base(parameters, learningRate)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(weightDecay);
        OptimizerArgument.RequireShare(beta1);
        OptimizerArgument.RequireShare(beta2);
        OptimizerArgument.RequirePositive(epsilon);
        (this.weightDecay, this.beta1, this.beta2, this.epsilon) = (weightDecay, beta1, beta2, epsilon);
    }

    internal override string Constants =>
        string.Create(CultureInfo.InvariantCulture, $"betas {beta1:r} and {beta2:r}, epsilon {epsilon:r}");

    private protected override IReadOnlyList<string> StateNames { get; } = ["exp_avg", "exp_avg_sq", "step"];

    private protected override Tensor[] NewState(Parameter parameter) =>
    [
        zeros(parameter.shape, parameter.dtype, parameter.device),
        zeros(parameter.shape, parameter.dtype, parameter.device),
        zeros([], float32, parameter.device),
    ];

    private protected override void Update(IReadOnlyList<Slot> slots, double learningRate)
    {
        // One call takes tensors of one type on one device.
        foreach (var group in slots.GroupBy(slot =>
            (Decay: slot.Parameter.dim() > 1 ? weightDecay : 0,
                slot.Parameter.dtype, slot.Parameter.device_type, slot.Parameter.device_index)))
        {
            // TorchSharp would leave numbers to the garbage collector before the script has read them.
            using var rate = learningRate.ToScalar();
            using var decay = group.Key.Decay.ToScalar();
            using var keptGradients = beta1.ToScalar();
            using var keptSquares = beta2.ToScalar();
            using var added = epsilon.ToScalar();
            // The kernel walks parameters, gradients and states as memory.
            Tensor[] inPlace = [.. group.Select(slot => slot.Parameter.contiguous())];
            script.invoke(
                "step",
                inPlace,
                group.Select(slot => slot.Gradient.contiguous()).ToArray(),
                group.Select(slot => slot.State[0]).ToArray(),
                group.Select(slot => slot.State[1]).ToArray(),
                group.Select(slot => slot.State[2]).ToArray(),
                rate,
                decay,
                keptGradients,
                keptSquares,
                added);
            foreach (var (slot, updated) in group.Zip(inPlace).Where(pair => !pair.First.Parameter.is_contiguous()))
                slot.Parameter.copy_(updated);
        }
    }
}
