using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Computes a piece of a model without keeping its intermediate values, and computes it anew in the backward pass: memory for
/// one more forward pass (Chen et al. 2016).
/// </summary>
internal sealed class Checkpoint : autograd.SingleTensorFunction<Checkpoint>
{
    /// <summary>What the segment that runs on this thread draws at random, or null.</summary>
    [ThreadStatic]
    private static Draws? draws;

    public override string Name => nameof(Checkpoint);

    /// <summary>Whether what is computed now will be differentiated: a segment's first run has grad mode off, but counts.</summary>
    public static bool RecordsGradients => draws is not null || is_grad_enabled();

    /// <summary>Runs <paramref name="segment"/> on <paramref name="input"/>. The segment must be a function of its input, of
    /// parameters and of what it draws with <see cref="Once"/>; it is run twice where gradients are wanted.</summary>
    public static Tensor Run(Tensor input, Func<Tensor, Tensor> segment) =>
        is_grad_enabled() && input.requires_grad ? apply(input, segment) : segment(input);

    /// <summary>Draws a random number, in a segment's second run the one of its first.</summary>
    public static ulong Once(Func<ulong> draw) => draws is null ? draw() : draws.Next(draw);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        using var scope = NewDisposeScope();
        var (input, segment) = ((Tensor)vars[0], (Func<Tensor, Tensor>)vars[1]);
        var drawn = new Draws();
        ctx.save_for_backward([input]);
        ctx.save_data(nameof(segment), segment);
        ctx.save_data(nameof(drawn), drawn);
        return drawn.During(() => segment(input)).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            using var scope = NewDisposeScope();
            using var grad = enable_grad();
            var segment = (Func<Tensor, Tensor>)ctx.get_data("segment");
            var drawn = (Draws)ctx.get_data("drawn");
            var input = ctx.get_saved_variables()[0].detach().requires_grad_();
            // Parameters' gradients are added to theirs by this inner pass; the input's goes on to what came before.
            drawn.During(() => segment(input)).backward([grad_output]);
            return BackwardResult.Of(input.grad, null);
        }
        catch (Exception e)
        {
            BackwardFailure.Keep(e);
            return [null!, null!];
        }
    }

    /// <summary>The random numbers of one segment, in their order.</summary>
    private sealed class Draws
    {
        private readonly List<ulong> values = [];
        private int next;

        public Tensor During(Func<Tensor> run)
        {
            next = 0;
            draws = this;
            try
            {
                return run();
            }
            finally
            {
                draws = null;
            }
        }

        public ulong Next(Func<ulong> draw)
        {
            if (next == values.Count)
                values.Add(draw());
            return values[next++];
        }
    }
}
