using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Vectors of tokens, or of positions. Its backward pass touches the rows that were looked up, where libtorch's makes
/// and adds a gradient of the whole table's size.</summary>
public sealed class EmbeddingTable : nn.Module<Tensor, Tensor>
{
    private Parameter weight;

    /// <summary>Makes the table; its weight is still to be filled.</summary>
    /// <param name="rows">How many vectors.</param>
    /// <param name="width">Entries of each: D.</param>
    public EmbeddingTable(int rows, int width)
        : base(nameof(EmbeddingTable))
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        weight = CountedParameter.Of(empty(rows, width, device: CPU));
        RegisterComponents();
    }

    /// <summary><c>[rows, D]</c>; also an output head's, where it is tied.</summary>
    public Tensor Weight => weight;

    /// <summary>The vectors <c>[N, D]</c> of ids <c>[N]</c>, int64, in fp32 whatever the weight's type.</summary>
    public override Tensor forward(Tensor ids) => is_grad_enabled() && weight.requires_grad
        ? Lookup.apply(weight, ids, BackwardPass.Current!)
        : weight.index_select(0, ids).to(float32);

    /// <summary>Puts another tensor, of any type and device, in the weight's place.</summary>
    internal void Replace(Tensor values, bool isTrained)
    {
        var replacement = CountedParameter.Of(values, isTrained);
        replacement.DetachFromDisposeScope();
        weight.Dispose();
        weight = replacement;
        ConditionallyRegisterParameter(nameof(weight), replacement);
    }

    private sealed class Lookup : autograd.SingleTensorFunction<Lookup>
    {
        public override string Name => nameof(Lookup);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_for_backward([(Tensor)vars[0], (Tensor)vars[1]]);
            ctx.save_data(nameof(BackwardPass), vars[2]);
            return ((Tensor)vars[0]).index_select(0, (Tensor)vars[1]);
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            try
            {
                using var scope = NewDisposeScope();
                var saved = ctx.get_saved_variables();
                var sum = new GradientSum(saved[0], (BackwardPass?)ctx.get_data(nameof(BackwardPass)));
                sum.Value.AddRowsInPlace(saved[1], grad_output.to(float32));
                return BackwardResult.Of(sum.Result, null, null);
            }
            catch (Exception e)
            {
                BackwardFailure.Keep(e);
                return [null!, null!, null!];
            }
        }
    }
}
