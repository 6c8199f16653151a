using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>
/// A linear layer whose weight is frozen and stored in another type than it is computed in: the weight is cast anew in the
/// backward pass, so that nothing is kept for it.
/// </summary>
internal sealed class FrozenProduct : autograd.SingleTensorFunction<FrozenProduct>
{
    public override string Name => nameof(FrozenProduct);

    public static Tensor Apply(Projection layer, Tensor x, Tensor weight) => apply(x, weight, layer);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        using var scope = NewDisposeScope();
        var (x, weight, layer) = ((Tensor)vars[0], (Tensor)vars[1], (Projection)vars[2]);
        ctx.save_for_backward([weight]);
        BackwardResult.Expect(ctx, x);
        ctx.save_data(nameof(Projection), layer);
        return layer.Product(x, weight.to(x.dtype), layer.Bias?.to(x.dtype)).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            using var scope = NewDisposeScope();
            var weight = ctx.get_saved_variables()[0].to(grad_output.dtype);
            var layer = (Projection)ctx.get_data(nameof(Projection));
            return BackwardResult.Of(grad_output.mm(layer.AsMatrix(weight)), null, null);
        }
        catch (Exception e)
        {
            return BackwardResult.OfFailure(ctx, e, inputs: 3);
        }
    }
}
