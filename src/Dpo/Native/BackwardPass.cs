using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// Tells backward passes over a graph apart: one that goes to all leaves, as <c>backward()</c> does, and one that goes only where
/// some tensors' gradients come from, as <c>autograd.grad</c> does. Only in the first may a gradient go straight into its leaf.
/// </summary>
/// <remarks>
/// Autograd does not say which it is. But what it is asked for decides what it runs: beside the values there hangs a leaf that
/// nobody can ask for, so that what leads to it is run when all leaves are meant, and only then. Of what has become due autograd
/// runs the latest made first, and so this before anything that made the values.
/// </remarks>
internal sealed class BackwardPass : IDisposable
{
    [ThreadStatic]
    private static BackwardPass? current;

    private readonly BackwardPass? outer = current;

    /// <summary>Begins a computation: what it makes finds this in <see cref="Current"/>, until it is disposed.</summary>
    public BackwardPass() => current = this;

    /// <summary>The passes over the graph that is being made on this thread; null where nothing is known of them.</summary>
    public static BackwardPass? Current => current;

    /// <summary>Whether the pass that is running goes to all leaves.</summary>
    public bool GoesEverywhere { get; private set; }

    /// <summary>The computation's result, the same values, behind which passes are told apart.</summary>
    public Tensor Over(Tensor values)
    {
        if (!values.requires_grad)
            return values;
        using var leaf = zeros([1], float32, values.device, requires_grad: true);
        using var beside = Beside.apply(leaf, this);
        return Gate.apply(values, beside, this);
    }

    /// <summary>Ends the computation.</summary>
    public void Dispose() => current = outer;

    /// <summary>Every pass comes through here, and first.</summary>
    private sealed class Gate : autograd.SingleTensorFunction<Gate>
    {
        public override string Name => nameof(Gate);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data(nameof(BackwardPass), vars[2]);
            BackwardResult.Expect(ctx, (Tensor)vars[0]);
            return ((Tensor)vars[0]).detach();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            try
            {
                ((BackwardPass)ctx.get_data(nameof(BackwardPass))).GoesEverywhere = false;
                // A gradient that is there, on the values' device: what has none is run elsewhere, and at any time.
                return BackwardResult.Of(grad_output.alias(), zeros([1], float32, grad_output.device), null);
            }
            catch (Exception e)
            {
                return BackwardResult.OfFailure(ctx, e, inputs: 3);
            }
        }
    }

    /// <summary>Only a pass to all leaves comes through here, next.</summary>
    private sealed class Beside : autograd.SingleTensorFunction<Beside>
    {
        public override string Name => nameof(Beside);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data(nameof(BackwardPass), vars[1]);
            return ((Tensor)vars[0]).detach();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            ((BackwardPass)ctx.get_data(nameof(BackwardPass))).GoesEverywhere = true;
            return [null!, null!];
        }
    }
}
