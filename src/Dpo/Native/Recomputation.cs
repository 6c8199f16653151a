using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// Computes a piece of a model without keeping its intermediate values, and computes it anew in the backward pass: memory for
/// one more forward pass (Chen et al. 2016).
/// </summary>
internal sealed class Recomputation : autograd.SingleTensorFunction<Recomputation>
{
    public override string Name => nameof(Recomputation);

    /// <summary>Whether what is computed now will be differentiated: a first run of two has grad mode off, but counts.</summary>
    public static bool RecordsGradients => RandomDraws.AreKept || is_grad_enabled();

    /// <summary>Runs <paramref name="segment"/> on <paramref name="input"/>. The segment must be a function of its input, of
    /// parameters and of what it draws with <see cref="RandomDraws.Once"/>; it is run twice where gradients are wanted.</summary>
    public static Tensor Run(Tensor input, Func<Tensor, Tensor> segment) =>
        is_grad_enabled() && input.requires_grad ? apply(input, segment, BackwardPass.Current!) : segment(input);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        using var scope = NewDisposeScope();
        var (input, segment) = ((Tensor)vars[0], (Func<Tensor, Tensor>)vars[1]);
        var drawn = new RandomDraws();
        ctx.save_for_backward([input]);
        BackwardResult.Expect(ctx, input);
        ctx.save_data(nameof(segment), segment);
        ctx.save_data(nameof(drawn), drawn);
        ctx.save_data(nameof(BackwardPass), vars[2]);
        return drawn.During(() => segment(input)).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            using var scope = NewDisposeScope();
            using var grad = enable_grad();
            var segment = (Func<Tensor, Tensor>)ctx.get_data("segment");
            var drawn = (RandomDraws)ctx.get_data("drawn");
            var input = ctx.get_saved_variables()[0].detach().requires_grad_();
            var output = drawn.During(() => segment(input));
            if (ctx.get_data(nameof(BackwardPass)) is BackwardPass { GoesEverywhere: false })
                return BackwardResult.Of(autograd.grad([output], [input], [grad_output])[0], null, null);
            // Parameters' gradients are added to theirs by this inner pass; the input's goes on to what came before.
            output.backward([grad_output]);
            return BackwardResult.Of(input.grad, null, null);
        }
        catch (Exception e)
        {
            return BackwardResult.OfFailure(ctx, e, inputs: 3);
        }
    }
}
