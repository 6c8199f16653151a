using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

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
    private static long blocksComputed;

    /// <summary>Blocks computed so far, forward and backward, by all heads: what launches are counted by.</summary>
    internal static long BlocksComputed => Interlocked.Read(ref blocksComputed);

    public override string Name => nameof(ChunkedHead);

    /// <summary>log p(target) for every target, <c>[M]</c>, fp32.</summary>
    /// <param name="head">The output head; it has a weight.</param>
    /// <param name="hidden">Hidden states, <c>[N, D]</c>.</param>
    /// <param name="predicting">Those that predict something, each once, <c>[R]</c>, int64.</param>
    /// <param name="rows">Every target's entry of <paramref name="predicting"/>, <c>[M]</c>, int64.</param>
    /// <param name="targets">The target tokens, <c>[M]</c>, int64.</param>
    /// <param name="blocks">How the work is cut.</param>
    /// <param name="statistics">Where it is given, what it asks for of every entry of <paramref name="predicting"/> is written
    /// into it.</param>
    public static Tensor LogProbs(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, HeadBlocks blocks,
        RowStatistics? statistics = null)
    {
        return is_grad_enabled()
            ? apply(
                hidden, head.Weight!, head.Bias!, head.SoftCap!, predicting, rows, targets, statistics!, head.LowRank!,
                BackwardPass.Current!, blocks)
            : Forward(head, hidden, predicting, rows, targets, blocks, statistics).LogProbs;
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, predicting, rows, targets) = ((Tensor)vars[0], (Tensor)vars[4], (Tensor)vars[5], (Tensor)vars[6]);
        var head = new OutputHead((Tensor)vars[1], (Tensor?)vars[2], (double?)vars[3]) { LowRank = (Tensor?)vars[8] };
        var blocks = (HeadBlocks)vars[10];
        var (logProbs, logSumExp) = Forward(head, hidden, predicting, rows, targets, blocks, (RowStatistics?)vars[7]);
        ctx.save_for_backward([hidden, predicting, rows, targets, logSumExp]);
        ctx.save_data(nameof(OutputHead), head);
        ctx.save_data(nameof(BackwardPass), vars[9]);
        ctx.save_data(nameof(HeadBlocks), blocks);
        return logProbs;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            var saved = ctx.get_saved_variables();
            var head = (OutputHead)ctx.get_data(nameof(OutputHead));
            var pass = (BackwardPass?)ctx.get_data(nameof(BackwardPass));
            var blocks = (HeadBlocks)ctx.get_data(nameof(HeadBlocks));
            var (hidden, weight, bias, lowRank) = Backward(
                head, saved[0], saved[1], saved[2], saved[3], saved[4], grad_output, blocks, pass);
            return BackwardResult.Of(hidden, weight, bias, null, null, null, null, null, lowRank, null, null);
        }
        catch (Exception e)
        {
            BackwardFailure.Keep(e);
            return [null!, null!, null!, null!, null!, null!, null!, null!, null!, null!, null!];
        }
    }

    private static (Tensor LogProbs, Tensor LogSumExp) Forward(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, HeadBlocks blocks,
        RowStatistics? statistics)
    {
        using var scope = NewDisposeScope();
        var logSumExp = empty(predicting.shape, float32, hidden.device);
        ForEachPiece(predicting, blocks.GatheredRows, (first, some) =>
        {
            // The lowest number and not −∞: a block of nothing but −∞, of entries that are ruled out, is so far below it as well.
            var maximum = empty(some.shape, float32, hidden.device).FillInPlace(float.MinValue);
            var sum = zeros_like(maximum);
            var running = statistics?.Start(some.shape[0], hidden.device);
            ForEachBlock(head, hidden.index_select(0, some), blocks, block =>
            {
                // The sum of exponentials so far is kept relative to the largest logit so far.
                var (maximumSoFar, sumSoFar) = (maximum.narrow(0, block.Row, block.Rows), sum.narrow(0, block.Row, block.Rows));
                running?.AddLogits(block.Row, block.Column, block.Logits, maximumSoFar);
                var larger = block.Logits.amax([1]).maximum(maximumSoFar);
                var fall = maximumSoFar - larger;
                var below = block.Logits.sub_(larger.unsqueeze(1));
                var exponentials = running is null ? below.exp_() : below.exp();
                running?.AddExponentials(block.Row, below, exponentials, fall, sumSoFar);
                sumSoFar.mul_(fall.exp_()).AddInPlace(exponentials.sum(1));
                maximumSoFar.copy_(larger);
            });
            var logSum = sum.log();
            running?.Finish(first, sum, logSum);
            logSumExp.narrow(0, first, some.shape[0]).copy_(logSum.AddInPlace(maximum));
        });

        var logProbs = empty_like(targets, float32);
        ForEachPiece(targets, blocks.Targets, (first, some) =>
        {
            var itsRows = rows.narrow(0, first, some.shape[0]);
            var logits = TargetLogits(head, hidden, predicting.index_select(0, itsRows), some);
            logProbs.narrow(0, first, some.shape[0]).copy_(logits.sub_(logSumExp.index_select(0, itsRows)));
        });
        return scope.MoveToOuter(logProbs, logSumExp);
    }

    private static (Tensor? Hidden, Tensor? Weight, Tensor? Bias, Tensor? LowRank) Backward(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, Tensor logSumExp, Tensor gradient,
        HeadBlocks blocks, BackwardPass? pass)
    {
        using var scope = NewDisposeScope();
        var (sumOfHidden, sumOfWeight, sumOfBias) = (SumIfWanted(hidden), SumIfWanted(head.Weight), SumIfWanted(head.Bias));
        var sumOfLowRank = SumIfWanted(head.LowRank);
        var (ofHidden, ofWeight, ofBias, ofLowRank) =
            (sumOfHidden?.Value, sumOfWeight?.Value, sumOfBias?.Value, sumOfLowRank?.Value);
        var width = head.Weight!.shape[1];

        var rowGradient = zeros_like(logSumExp).AddRowsInPlace(rows, gradient).neg_();
        ForEachPiece(predicting, blocks.GatheredRows, (first, some) =>
        {
            // A row's gradient is a factor of all its logits': it scales what is as wide as the states, and not the block.
            var ofRows = rowGradient.narrow(0, first, some.shape[0]).unsqueeze(1);
            var states = hidden.detach().index_select(0, some);
            var scaled = ofWeight is null && ofLowRank is null ? null : (states * ofRows).to(states.dtype);
            var ofStates = ofHidden is null ? null : zeros(states.shape, float32, states.device);
            ForEachBlock(head, states, blocks, block =>
            {
                var slope = head.Slope(block.Logits);
                var logs = block.Logits.sub_(logSumExp.narrow(0, first + block.Row, block.Rows).unsqueeze(1));
                // Where nothing else is made of the probabilities, they are written in the products' type at once.
                var probabilities = MixedPrecision.Exponentials(logs, slope is null && ofBias is null ? states.dtype : float32);
                if (slope is not null)
                    probabilities.mul_(slope);
                if (ofBias is not null)
                    MixedPrecision.AddProduct(
                        ofBias.narrow(0, block.Column, block.Columns).unsqueeze(1), probabilities.t(),
                        ofRows.narrow(0, block.Row, block.Rows));
                var ofLogits = probabilities.to(states.dtype);
                if (ofStates is not null)
                    MixedPrecision.AddProduct(ofStates.narrow(0, block.Row, block.Rows), ofLogits, block.Weight);
                var itsStates = scaled?.narrow(0, block.Row, block.Rows);
                if (ofWeight is not null)
                    MixedPrecision.AddProduct(
                        ofWeight.narrow(0, block.Column, block.Columns), ofLogits.t(), itsStates!.narrow(1, 0, width));
                if (ofLowRank is not null)
                    MixedPrecision.AddProduct(
                        ofLowRank.narrow(0, block.Column, block.Columns), ofLogits.t(),
                        itsStates!.narrow(1, width, ofLowRank.shape[1]));
            });
            ofHidden?.AddRowsInPlace(some, ofStates!.mul_(ofRows));
        });

        ForEachPiece(targets, blocks.Targets, (first, some) =>
        {
            var ofLogits = gradient.narrow(0, first, some.shape[0]);
            var itsStates = predicting.index_select(0, rows.narrow(0, first, some.shape[0]));
            if (head.Slope(TargetLogits(head, hidden, itsStates, some)) is { } slope)
                ofLogits = ofLogits * slope;
            ofBias?.AddRowsInPlace(some, ofLogits);
            ofHidden?.AddRowsInPlace(
                itsStates, head.Columns(weight => weight.detach().index_select(0, some), float32).mul_(ofLogits.unsqueeze(1)));
            if (ofWeight is null && ofLowRank is null)
                return;
            var products = hidden.detach().index_select(0, itsStates).to(float32) * ofLogits.unsqueeze(1);
            ofWeight?.AddRowsInPlace(some, products.narrow(1, 0, width));
            ofLowRank?.AddRowsInPlace(some, products.narrow(1, width, ofLowRank.shape[1]));
        });
        var (hiddens, weights, biases) = scope.MoveToOuter(sumOfHidden?.Result!, sumOfWeight?.Result!, sumOfBias?.Result!);
        return (hiddens, weights, biases, sumOfLowRank?.Result?.MoveToOuterDisposeScope());

        GradientSum? SumIfWanted(Tensor? of) => of is { requires_grad: true } ? new GradientSum(of, pass) : null;
    }

    private static Tensor TargetLogits(OutputHead head, Tensor hidden, Tensor states, Tensor targets)
    {
        var products = hidden.detach().index_select(0, states).to(float32)
            * head.Columns(weight => weight.detach().index_select(0, targets), hidden.dtype);
        var logits = products.sum(1);
        if (head.Bias is not null)
            logits.AddInPlace(head.Bias.detach().index_select(0, targets));
        return Cap(head, logits);
    }

    /// <summary>Visits all blocks of the logits of <paramref name="states"/>, in fp32 and free to be overwritten. A column of
    /// blocks shares one piece of the weight, so that the whole weight is read, and cast, once.</summary>
    private static void ForEachBlock(OutputHead head, Tensor states, HeadBlocks blocks, Action<Block> visit)
    {
        for (long column = 0; column < head.Weight!.shape[0]; column += blocks.Columns)
        {
            using var columnScope = NewDisposeScope();
            var columns = Math.Min(blocks.Columns, head.Weight.shape[0] - column);
            var weight = head.Columns(all => all.detach().narrow(0, column, columns), states.dtype);
            var bias = head.Bias?.detach().narrow(0, column, columns);
            for (long row = 0; row < states.shape[0]; row += blocks.Rows)
            {
                using var blockScope = NewDisposeScope();
                var rows = Math.Min(blocks.Rows, states.shape[0] - row);
                var logits = MixedPrecision.Product(states.narrow(0, row, rows), weight.t());
                if (bias is not null)
                    logits.AddInPlace(bias);
                Interlocked.Increment(ref blocksComputed);
                visit(new Block(row, rows, column, columns, Cap(head, logits), weight));
            }
        }
    }

    /// <summary>Visits a list piece by piece, each with the index of its first entry.</summary>
    private static void ForEachPiece(Tensor list, long size, Action<long, Tensor> visit)
    {
        for (long first = 0; first < list.shape[0]; first += size)
        {
            using var scope = NewDisposeScope();
            visit(first, list.narrow(0, first, Math.Min(size, list.shape[0] - first)));
        }
    }

    /// <summary>Applies the soft cap, in place.</summary>
    private static Tensor Cap(OutputHead head, Tensor logits) =>
        head.SoftCap is { } cap ? logits.DivideInPlace(cap).tanh_().MultiplyInPlace(cap) : logits;

    private readonly record struct Block(long Row, long Rows, long Column, long Columns, Tensor Logits, Tensor Weight);
}
