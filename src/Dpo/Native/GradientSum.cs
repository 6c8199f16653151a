using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// Where a backward function of our own sums up the gradient of one of its inputs. What a leaf has, such as a weight, goes
/// straight into its own gradient where the pass goes to all leaves: autograd would add the result to it anyway, from a second
/// tensor as large as the weight.
/// </summary>
internal readonly struct GradientSum
{
    private readonly Tensor of;
    private readonly bool isItsOwn;

    /// <summary>Begins with zeros, or with what the leaf has so far. Tensors are the current dispose scope's: a handle that
    /// outlived the pass would keep the gradient alive after <c>zero_grad</c>.</summary>
    /// <param name="of">The input.</param>
    /// <param name="pass">The passes over its graph; null where they are not told apart, and autograd is to have every
    /// gradient.</param>
    public GradientSum(Tensor of, BackwardPass? pass)
    {
        this.of = of;
        isItsOwn = pass is { GoesEverywhere: true } && of.is_leaf && of.dtype == ScalarType.Float32;
        if (!isItsOwn)
        {
            Value = zeros(of.shape, float32, of.device);
            return;
        }
        if (of.grad is null)
            of.grad = zeros_like(of);
        Value = of.grad!;
    }

    /// <summary>The sum so far, fp32 and in the input's shape; to be added to in place.</summary>
    public Tensor Value { get; }

    /// <summary>What the backward pass answers autograd with: nothing where the sum is in its place already.</summary>
    public Tensor? Result => isItsOwn ? null : Value.to(of.dtype);
}
