using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>A rotation of every token's pairs, made by a <see cref="RotaryEmbedding"/>. Its tensors are of the dispose scope that
/// it was made in.</summary>
public sealed class Rotation
{
    // The second product is added, and rounded to the result's type, where the result lies; TorchSharp has no binding for that.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def turn(first, second, cos, sin, turned_first, turned_second) -> Optional[Tensor]:
            torch.addcmul(first * cos, second, sin, value=-1, out=turned_first)
            torch.addcmul(second * cos, first, sin, value=1, out=turned_second)
            return None

        def turn_back(first, second, cos, sin, turned_first, turned_second) -> Optional[Tensor]:
            torch.addcmul(first * cos, second, sin, value=1, out=turned_first)
            torch.addcmul(second * cos, first, sin, value=-1, out=turned_second)
            return None

        """);

    /// <summary>A rotation by angles.</summary>
    /// <param name="cos">Their cosines, <c>[N, 1, pairs]</c>, fp32.</param>
    /// <param name="sin">Their sines, <c>[N, 1, pairs]</c>, fp32.</param>
    /// <param name="pairs">Which entries make a pair.</param>
    internal Rotation(Tensor cos, Tensor sin, RotaryPairs pairs)
    {
        (Cos, Sin, Pairs) = (cos, sin, pairs);
    }

    internal Tensor Cos { get; }

    internal Tensor Sin { get; }

    private RotaryPairs Pairs { get; }

    /// <summary>Turns queries or keys.</summary>
    /// <param name="x"><c>[N, heads, head size]</c>, of any type; what a head has beyond the entries that are turned
    /// stays.</param>
    /// <param name="dtype">The type of the result. It is computed in fp32.</param>
    /// <returns>As <paramref name="x"/>, of the current dispose scope.</returns>
    public Tensor Apply(Tensor x, ScalarType dtype) =>
        is_grad_enabled() && x.requires_grad ? Turn.apply(x, Cos, Sin, Pairs, dtype) : Turned("turn", x, dtype);

    private Tensor Turned(string how, Tensor x, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var result = empty(x.shape, dtype, x.device);
        var ((first, second, beyond), (turnedFirst, turnedSecond, turnedBeyond)) = (Parts(x), Parts(result));
        script.invoke(how, first, second, Cos, Sin, turnedFirst, turnedSecond);
        turnedBeyond?.copy_(beyond!);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>Views of the first and the second entries of all pairs, and of the entries that are not turned; null where there
    /// are none.</summary>
    private (Tensor First, Tensor Second, Tensor? Beyond) Parts(Tensor x)
    {
        var pairs = Cos.shape[2];
        var beyond = x.shape[2] == 2 * pairs ? null : x.narrow(2, 2 * pairs, x.shape[2] - (2 * pairs));
        if (Pairs == RotaryPairs.Halves)
            return (x.narrow(2, 0, pairs), x.narrow(2, pairs, pairs), beyond);
        var neighbours = x.narrow(2, 0, 2 * pairs).unflatten(2, pairs, 2);
        return (neighbours.select(3, 0), neighbours.select(3, 1), beyond);
    }

    /// <summary>Autograd would keep both entries of each pair, in two types, and turn gradients back in three times as many
    /// operations.</summary>
    private sealed class Turn : autograd.SingleTensorFunction<Turn>
    {
        public override string Name => nameof(Turn);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var (x, cos, sin) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
            ctx.save_for_backward([cos, sin]);
            BackwardResult.Expect(ctx, x);
            ctx.save_data(nameof(Pairs), vars[3]);
            ctx.save_data(nameof(x.dtype), x.dtype);
            return new Rotation(cos, sin, (RotaryPairs)vars[3]).Turned("turn", x, (ScalarType)vars[4]);
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            try
            {
                using var scope = NewDisposeScope();
                var saved = ctx.get_saved_variables();
                var rotation = new Rotation(saved[0], saved[1], (RotaryPairs)ctx.get_data(nameof(Pairs)));
                return BackwardResult.Of(
                    rotation.Turned("turn_back", grad_output, (ScalarType)ctx.get_data(nameof(Tensor.dtype))),
                    null, null, null, null);
            }
            catch (Exception e)
            {
                return BackwardResult.OfFailure(ctx, e, inputs: 5);
            }
        }
    }
}
