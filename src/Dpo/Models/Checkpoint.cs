using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Computes a piece of a model without keeping its intermediate values, and computes it anew in the backward pass: memory for
/// one more forward pass (Chen et al. 2016).
/// </summary>
internal sealed class Checkpoint : autograd.SingleTensorFunction<Checkpoint>
{
    public override string Name => nameof(Checkpoint);

    /// <summary>Runs <paramref name="segment"/> on <paramref name="input"/>. The segment must be a function of its input and of
    /// parameters only; it is run twice where gradients are wanted.</summary>
    public static Tensor Run(Tensor input, Func<Tensor, Tensor> segment) =>
        is_grad_enabled() && input.requires_grad ? apply(input, segment) : segment(input);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        using var scope = NewDisposeScope();
        var (input, segment) = ((Tensor)vars[0], (Func<Tensor, Tensor>)vars[1]);
        ctx.save_for_backward([input]);
        ctx.save_data(nameof(segment), segment);
        return segment(input).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            using var scope = NewDisposeScope();
            using var grad = enable_grad();
            var segment = (Func<Tensor, Tensor>)ctx.get_data("segment");
            var input = ctx.get_saved_variables()[0].detach().requires_grad_();
            // Parameters' gradients are added to theirs by this inner pass; the input's goes on to what came before.
            segment(input).backward([grad_output]);
            return [input.grad!.MoveToOuterDisposeScope(), null!];
        }
        catch (Exception e)
        {
            BackwardFailure.Keep(e);
            return [null!, null!];
        }
    }
}
