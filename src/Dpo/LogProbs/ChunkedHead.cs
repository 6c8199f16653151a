using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Log-probabilities of target tokens from hidden states, without the <c>[rows, vocabulary]</c> matrix of logits: one block of
/// rows and vocabulary entries is alive at a time, in the forward pass and in the backward pass, which computes it anew.
/// </summary>
/// <remarks>
/// Rows are distinct hidden states, each with any number of targets: the completions of a prompt share the row that predicts
/// their first token. With p = softmax(logits), the gradient of Σ gₜ·log p(t) with respect to a row's logits is Σ gₜ·(eₜ − p).
/// Its second part comes from the blocks; the first touches one row of the weight for each target.
/// </remarks>
internal sealed class ChunkedHead : autograd.SingleTensorFunction<ChunkedHead>
{
    // 512 rows and 2,048 columns are enough for the matrix product's full speed, and the block's 4 MB stay in the cache for the
    // element-wise work.
    private const int BlockRows = 512;
    private const int BlockColumns = 2048;

    public override string Name => nameof(ChunkedHead);

    /// <summary>log p(target) for every target, <c>[M]</c>, fp32.</summary>
    /// <param name="head">The output head; it has a weight.</param>
    /// <param name="hidden">The rows' hidden states, <c>[R, D]</c>.</param>
    /// <param name="rows">Every target's row, <c>[M]</c>, int64.</param>
    /// <param name="targets">The target tokens, <c>[M]</c>, int64.</param>
    /// <param name="logSquaredProbs">Where it is given, <c>[R]</c>, fp32, log Σ p² of every row is written into it.</param>
    public static Tensor LogProbs(OutputHead head, Tensor hidden, Tensor rows, Tensor targets, Tensor? logSquaredProbs = null)
    {
        return is_grad_enabled()
            ? apply(hidden, head.Weight!, head.Bias!, head.SoftCap!, rows, targets, logSquaredProbs!)
            : Forward(head, hidden, rows, targets, logSquaredProbs).LogProbs;
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, rows, targets) = ((Tensor)vars[0], (Tensor)vars[4], (Tensor)vars[5]);
        var head = new OutputHead((Tensor)vars[1], (Tensor?)vars[2], (double?)vars[3]);
        var (logProbs, logSumExp) = Forward(head, hidden, rows, targets, (Tensor?)vars[6]);
        ctx.save_for_backward([hidden, rows, targets, logSumExp]);
        ctx.save_data(nameof(OutputHead), head);
        return logProbs;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            var saved = ctx.get_saved_variables();
            var head = (OutputHead)ctx.get_data(nameof(OutputHead));
            var (hidden, weight, bias) = Backward(head, saved[0], saved[1], saved[2], saved[3], grad_output);
            return [hidden, weight!, bias!, null!, null!, null!, null!];
        }
        catch (Exception e)
        {
            BackwardFailure.Keep(e);
            return [null!, null!, null!, null!, null!, null!, null!];
        }
    }

    private static (Tensor LogProbs, Tensor LogSumExp) Forward(
        OutputHead head, Tensor hidden, Tensor rows, Tensor targets, Tensor? logSquaredProbs)
    {
        using var scope = NewDisposeScope();
        var maximum = full([hidden.shape[0]], double.NegativeInfinity, float32, hidden.device);
        var sum = zeros_like(maximum);
        var sumOfSquares = logSquaredProbs is null ? null : zeros_like(maximum);
        ForEachBlock(head, hidden, block =>
        {
            // The sum of exponentials so far is kept relative to the largest logit so far.
            var (maximumSoFar, sumSoFar) = (maximum.narrow(0, block.Row, block.Rows), sum.narrow(0, block.Row, block.Rows));
            var larger = block.Logits.amax([1]).maximum(maximumSoFar);
            var shrinkage = (maximumSoFar - larger).exp_();
            var exponentials = block.Logits.sub_(larger.unsqueeze(1)).exp_();
            sumSoFar.mul_(shrinkage).add_(exponentials.sum(1));
            sumOfSquares?.narrow(0, block.Row, block.Rows).mul_(shrinkage.pow_(2)).add_(exponentials.pow_(2).sum(1));
            maximumSoFar.copy_(larger);
        });
        var logSum = sum.log_();
        logSquaredProbs?.copy_(sumOfSquares!.log_().sub_(2 * logSum));
        var logSumExp = logSum.add_(maximum);

        var logProbs = empty_like(targets, float32);
        ForEachGroup(rows, targets, (group, groupRows, groupTargets) =>
            logProbs.narrow(0, group, groupRows.shape[0])
                .copy_(TargetLogits(head, hidden, groupRows, groupTargets).sub_(logSumExp.index_select(0, groupRows))));
        return scope.MoveToOuter(logProbs, logSumExp);
    }

    private static (Tensor Hidden, Tensor? Weight, Tensor? Bias) Backward(
        OutputHead head, Tensor hidden, Tensor rows, Tensor targets, Tensor logSumExp, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var ofHidden = zeros(hidden.shape, float32, hidden.device);
        var ofWeight = head.Weight!.requires_grad ? zeros_like(head.Weight) : null;
        var ofBias = head.Bias is { requires_grad: true } bias ? zeros_like(bias) : null;

        var rowGradient = zeros_like(logSumExp).index_add_(0, rows, gradient, 1).neg_();
        ForEachBlock(head, hidden, block =>
        {
            var slope = head.Slope(block.Logits);
            var ofLogits = block.Logits.sub_(logSumExp.narrow(0, block.Row, block.Rows).unsqueeze(1)).exp_()
                .mul_(rowGradient.narrow(0, block.Row, block.Rows).unsqueeze(1));
            if (slope is not null)
                ofLogits.mul_(slope);
            ofBias?.narrow(0, block.Column, block.Columns).add_(ofLogits.sum([0L]));
            ofLogits = ofLogits.to(hidden.dtype);
            AddProduct(ofHidden.narrow(0, block.Row, block.Rows), ofLogits, block.Weight);
            if (ofWeight is not null)
                AddProduct(ofWeight.narrow(0, block.Column, block.Columns), ofLogits.t(), hidden.narrow(0, block.Row, block.Rows));
        });

        ForEachGroup(rows, targets, (group, groupRows, groupTargets) =>
        {
            var ofLogits = gradient.narrow(0, group, groupRows.shape[0]);
            if (head.Slope(TargetLogits(head, hidden, groupRows, groupTargets)) is { } slope)
                ofLogits = ofLogits * slope;
            ofBias?.index_add_(0, groupTargets, ofLogits, 1);
            ofHidden.index_add_(0, groupRows, head.Weight.index_select(0, groupTargets).to(float32).mul_(ofLogits.unsqueeze(1)), 1);
            ofWeight?.index_add_(0, groupTargets, hidden.index_select(0, groupRows).to(float32) * ofLogits.unsqueeze(1), 1);
        });
        return scope.MoveToOuter(ofHidden.to(hidden.dtype), ofWeight!, ofBias!);
    }

    private static Tensor TargetLogits(OutputHead head, Tensor hidden, Tensor rows, Tensor targets)
    {
        var products = hidden.index_select(0, rows).to(float32) * head.Weight!.index_select(0, targets).to(hidden.dtype);
        var logits = products.sum(1);
        if (head.Bias is not null)
            logits.add_(head.Bias.index_select(0, targets));
        return head.Cap(logits);
    }

    /// <summary>Visits all blocks of the logits, in fp32 and free to be overwritten. A column of blocks shares one piece of the
    /// weight, so that the whole weight is read, and cast, once.</summary>
    private static void ForEachBlock(OutputHead head, Tensor hidden, Action<Block> visit)
    {
        for (long column = 0; column < head.Weight!.shape[0]; column += BlockColumns)
        {
            using var columnScope = NewDisposeScope();
            var columns = Math.Min(BlockColumns, head.Weight.shape[0] - column);
            var weight = head.Weight.detach().narrow(0, column, columns).to(hidden.dtype);
            var bias = head.Bias?.detach().narrow(0, column, columns);
            for (long row = 0; row < hidden.shape[0]; row += BlockRows)
            {
                using var blockScope = NewDisposeScope();
                var rows = Math.Min(BlockRows, hidden.shape[0] - row);
                var logits = hidden.narrow(0, row, rows).mm(weight.t()).to(float32);
                if (bias is not null)
                    logits.add_(bias);
                visit(new Block(row, rows, column, columns, head.Cap(logits), weight));
            }
        }
    }

    /// <summary>Visits the targets, a few hundred at a time.</summary>
    private static void ForEachGroup(Tensor rows, Tensor targets, Action<long, Tensor, Tensor> visit)
    {
        for (long first = 0; first < targets.shape[0]; first += BlockRows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(BlockRows, targets.shape[0] - first);
            visit(first, rows.narrow(0, first, count), targets.narrow(0, first, count));
        }
    }

    /// <summary>sum += left · right, with an fp32 sum whatever the factors' precision.</summary>
    private static void AddProduct(Tensor sum, Tensor left, Tensor right)
    {
        if (left.dtype == sum.dtype)
            sum.addmm_(left, right, beta: 1, alpha: 1);
        else
            sum.add_(left.mm(right));
    }

    private readonly record struct Block(long Row, long Rows, long Column, long Columns, Tensor Logits, Tensor Weight);
}
