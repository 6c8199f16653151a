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

    /// <summary>log p(target) for every target, <c>[M]</c>, fp32; and behind them, where it is asked for, the KL of every row
    /// from another model's, <c>[M + R]</c> together: one tensor, so that one backward pass has the gradients of both.</summary>
    /// <param name="head">The output head; it has a weight.</param>
    /// <param name="hidden">Hidden states, <c>[N, D]</c>.</param>
    /// <param name="predicting">Those that predict something, each once, <c>[R]</c>, int64.</param>
    /// <param name="rows">Every target's entry of <paramref name="predicting"/>, <c>[M]</c>, int64.</param>
    /// <param name="targets">The target tokens, <c>[M]</c>, int64.</param>
    /// <param name="blocks">How the work is cut.</param>
    /// <param name="statistics">Where it is given, what it asks for of every entry of <paramref name="predicting"/> is written
    /// into it.</param>
    /// <param name="reference">Where it is given, the model that KLs are measured from, over as many entries of the
    /// vocabulary.</param>
    public static Tensor LogProbs(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, HeadBlocks blocks,
        RowStatistics? statistics = null, TokenDistributions? reference = null)
    {
        return is_grad_enabled()
            ? apply(
                hidden, head.Weight!, head.Bias!, head.SoftCap!, predicting, rows, targets, statistics!, head.LowRank!,
                BackwardPass.Current!, blocks, reference!)
            : Forward(head, hidden, predicting, rows, targets, blocks, statistics, reference).Values;
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, predicting, rows, targets) = ((Tensor)vars[0], (Tensor)vars[4], (Tensor)vars[5], (Tensor)vars[6]);
        var head = new OutputHead((Tensor)vars[1], (Tensor?)vars[2], (double?)vars[3]) { LowRank = (Tensor?)vars[8] };
        var blocks = (HeadBlocks)vars[10];
        var reference = (TokenDistributions?)vars[11];
        var (values, logSumExp, ofReference) =
            Forward(head, hidden, predicting, rows, targets, blocks, (RowStatistics?)vars[7], reference);
        ctx.save_for_backward(
            [hidden, predicting, rows, targets, logSumExp, .. ofReference is null ? [] : (Tensor[])[ofReference]]);
        BackwardResult.Expect(ctx, hidden);
        ctx.save_data(nameof(TokenDistributions), reference);
        ctx.save_data(nameof(OutputHead), head);
        ctx.save_data(nameof(BackwardPass), vars[9]);
        ctx.save_data(nameof(HeadBlocks), blocks);
        return values;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            var saved = ctx.get_saved_variables();
            var head = (OutputHead)ctx.get_data(nameof(OutputHead));
            var pass = (BackwardPass?)ctx.get_data(nameof(BackwardPass));
            var blocks = (HeadBlocks)ctx.get_data(nameof(HeadBlocks));
            var reference = (TokenDistributions?)ctx.get_data(nameof(TokenDistributions));
            var (hidden, weight, bias, lowRank) = Backward(
                head, saved[0], saved[1], saved[2], saved[3], saved[4], grad_output, blocks, pass,
                reference is null ? null : (reference, saved[5]));
            return BackwardResult.Of(hidden, weight, bias, null, null, null, null, null, lowRank, null, null, null);
        }
        catch (Exception e)
        {
            return BackwardResult.OfFailure(ctx, e, inputs: 12);
        }
    }

    private static (Tensor Values, Tensor LogSumExp, Tensor? LogSumExpOfReference) Forward(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, HeadBlocks blocks,
        RowStatistics? statistics, TokenDistributions? reference)
    {
        using var scope = NewDisposeScope();
        var logSumExp = empty(predicting.shape, float32, hidden.device);
        var (kl, logSumExpOfReference) = reference is null ? (null, null) : (empty_like(logSumExp), empty_like(logSumExp));
        ForEachPiece(predicting, blocks.GatheredRows, (first, some) =>
        {
            // The lowest number and not −∞: a block of nothing but −∞, of entries that are ruled out, is so far below it as well.
            var maximum = empty(some.shape, float32, hidden.device).FillInPlace(float.MinValue);
            var sum = zeros_like(maximum);
            var running = statistics?.Start(some.shape[0], hidden.device);
            var runningKl = reference is null ? null : new RunningKl(some.shape[0], hidden.device);
            ForEachBlock(head, hidden.index_select(0, some), blocks, reference, first, block =>
            {
                runningKl?.Add(block.Row, block.Logits, block.OfReference!);
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
            if (runningKl is null)
                return;
            var (itsKl, itsLogSumExp) = runningKl.End(logSum);
            kl!.narrow(0, first, some.shape[0]).copy_(itsKl);
            logSumExpOfReference!.narrow(0, first, some.shape[0]).copy_(itsLogSumExp);
        });

        var logProbs = TargetLogProbs(head, hidden, predicting, rows, targets, logSumExp, blocks);
        var values = kl is null ? logProbs : cat([logProbs, kl]);
        return (values.MoveToOuterDisposeScope(), logSumExp.MoveToOuterDisposeScope(),
            logSumExpOfReference?.MoveToOuterDisposeScope());
    }

    private static Tensor TargetLogProbs(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, Tensor logSumExp, HeadBlocks blocks)
    {
        var logProbs = empty_like(targets, float32);
        ForEachPiece(targets, blocks.Targets, (first, some) =>
        {
            var itsRows = rows.narrow(0, first, some.shape[0]);
            var logits = TargetLogits(head, hidden, predicting.index_select(0, itsRows), some);
            logProbs.narrow(0, first, some.shape[0]).copy_(logits.sub_(logSumExp.index_select(0, itsRows)));
        });
        return logProbs;
    }

    private static (Tensor? Hidden, Tensor? Weight, Tensor? Bias, Tensor? LowRank) Backward(
        OutputHead head, Tensor hidden, Tensor predicting, Tensor rows, Tensor targets, Tensor logSumExp, Tensor gradients,
        HeadBlocks blocks, BackwardPass? pass, (TokenDistributions Distributions, Tensor LogSumExp)? reference)
    {
        using var scope = NewDisposeScope();
        var gradient = gradients.narrow(0, 0, targets.shape[0]);
        var ofKl = reference is null ? null : gradients.narrow(0, targets.shape[0], predicting.shape[0]);
        var sums = new Gradients(head, hidden, pass);
        var rowGradient = zeros_like(logSumExp).AddRowsInPlace(rows, gradient).neg_();
        // The gradient of Σ q (log q − log p) with respect to the logits of p is p − q.
        if (ofKl is not null)
            rowGradient.AddInPlace(ofKl);
        ForEachPiece(predicting, blocks.GatheredRows, (first, some) =>
        {
            Tensor OfPiece(Tensor values) => values.narrow(0, first, some.shape[0]).unsqueeze(1);
            sums.AddOfProbabilities(
                some, first, logSumExp, OfPiece(rowGradient),
                reference is var (distributions, logSum) ? (distributions, OfPiece(logSum), OfPiece(ofKl!)) : null, blocks);
        });
        ForEachPiece(targets, blocks.Targets, (first, some) => sums.AddOfTargets(
            some, predicting.index_select(0, rows.narrow(0, first, some.shape[0])), gradient.narrow(0, first, some.shape[0])));
        var (hiddens, weights, biases, lowRanks) = sums.Results();
        (hiddens, weights, biases) = scope.MoveToOuter(hiddens!, weights!, biases!);
        return (hiddens, weights, biases, lowRanks?.MoveToOuterDisposeScope());
    }

    private static Tensor TargetLogits(OutputHead head, Tensor hidden, Tensor states, Tensor targets)
    {
        var products = hidden.detach().index_select(0, states).to(float32)
            * head.Columns(weight => weight.detach().index_select(0, targets), hidden.dtype);
        var logits = products.sum(1);
        if (head.Bias is not null)
            logits.AddInPlace(head.Bias.detach().index_select(0, targets));
        return HeadPiece.Cap(head, logits);
    }

    /// <summary>Visits all blocks of the logits of <paramref name="states"/>, in fp32 and free to be overwritten, with those of
    /// the reference for the same rows, from its row <paramref name="first"/> on, which are not. A column of blocks shares one
    /// piece of the weight, so that the whole weight is read, and cast, once.</summary>
    private static void ForEachBlock(
        OutputHead head, Tensor states, HeadBlocks blocks, TokenDistributions? reference, long first, Action<Block> visit)
    {
        for (long column = 0; column < head.Weight!.shape[0]; column += blocks.Columns)
        {
            using var columnScope = NewDisposeScope();
            var columns = Math.Min(blocks.Columns, head.Weight.shape[0] - column);
            var piece = new HeadPiece(head, column, columns, states.dtype);
            var ofReference = reference is null ? null
                : new HeadPiece(reference.Head, column, columns, reference.States.dtype);
            for (long row = 0; row < states.shape[0]; row += blocks.Rows)
            {
                using var blockScope = NewDisposeScope();
                var rows = Math.Min(blocks.Rows, states.shape[0] - row);
                Interlocked.Increment(ref blocksComputed);
                visit(new Block(
                    row, rows, column, columns, piece.Logits(states.narrow(0, row, rows)), piece.Weight!,
                    ofReference?.Logits(reference!.States.narrow(0, first + row, rows))));
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

    private readonly record struct Block(
        long Row, long Rows, long Column, long Columns, Tensor Logits, Tensor Weight, Tensor? OfReference);

    /// <summary>The gradients of hidden states and head, each where it is wanted, summed up where they end up.</summary>
    private sealed class Gradients
    {
        private readonly OutputHead head;
        private readonly Tensor hidden;
        private readonly long width;
        private readonly GradientSum? sumOfHidden, sumOfWeight, sumOfBias, sumOfLowRank;
        private readonly Tensor? ofHidden, ofWeight, ofBias, ofLowRank;

        public Gradients(OutputHead head, Tensor hidden, BackwardPass? pass)
        {
            (this.head, this.hidden, width) = (head, hidden, head.Weight!.shape[1]);
            (sumOfHidden, sumOfWeight) = (SumIfWanted(hidden), SumIfWanted(head.Weight));
            (sumOfBias, sumOfLowRank) = (SumIfWanted(head.Bias), SumIfWanted(head.LowRank));
            (ofHidden, ofWeight, ofBias, ofLowRank) =
                (sumOfHidden?.Value, sumOfWeight?.Value, sumOfBias?.Value, sumOfLowRank?.Value);

            GradientSum? SumIfWanted(Tensor? of) => of is { requires_grad: true } ? new GradientSum(of, pass) : null;
        }

        /// <summary>Adds what follows from the probabilities p of a piece's rows, and from q, the reference's.</summary>
        /// <param name="some">The rows' hidden states, <c>[r]</c>.</param>
        /// <param name="first">Where the piece begins among all rows.</param>
        /// <param name="logSumExp">Of all rows.</param>
        /// <param name="ofP">The gradient of each of the piece's rows, <c>[r, 1]</c>.</param>
        /// <param name="reference">What q is, and the gradient of each row's KL, <c>[r, 1]</c>; null where there is none.</param>
        /// <param name="blocks">How the work is cut.</param>
        public void AddOfProbabilities(
            Tensor some, long first, Tensor logSumExp, Tensor ofP,
            (TokenDistributions Distributions, Tensor LogSumExp, Tensor OfQ)? reference, HeadBlocks blocks)
        {
            // A row's gradient is a factor of all its logits': it scales what is as wide as the states, and not the block. With a
            // KL there are two of them, of p and of q, and the block is scaled.
            var ofRows = reference is null ? ofP : ones_like(ofP);
            var states = hidden.detach().index_select(0, some);
            var scaled = ofWeight is null && ofLowRank is null ? null : (states * ofRows).to(states.dtype);
            var ofStates = ofHidden is null ? null : zeros(states.shape, float32, states.device);
            ForEachBlock(head, states, blocks, reference?.Distributions, first, block =>
            {
                Tensor OfBlock(Tensor values) => values.narrow(0, block.Row, block.Rows);
                var slope = head.Slope(block.Logits);
                var logs = block.Logits.sub_(logSumExp.narrow(0, first + block.Row, block.Rows).unsqueeze(1));
                // Where nothing else is made of the probabilities, they are written in the products' type at once.
                var isPlain = slope is null && ofBias is null && reference is null;
                var probabilities = MixedPrecision.Exponentials(logs, isPlain ? states.dtype : float32);
                if (reference is var (_, logSumOfQ, ofQ))
                    probabilities.mul_(OfBlock(ofP)).sub_((block.OfReference! - OfBlock(logSumOfQ)).exp_().mul_(OfBlock(ofQ)));
                if (slope is not null)
                    probabilities.mul_(slope);
                if (ofBias is not null)
                    MixedPrecision.AddProduct(
                        ofBias.narrow(0, block.Column, block.Columns).unsqueeze(1), probabilities.t(), OfBlock(ofRows));
                var ofLogits = probabilities.to(states.dtype);
                if (ofStates is not null)
                    MixedPrecision.AddProduct(OfBlock(ofStates), ofLogits, block.Weight);
                AddToWeights(block, ofLogits, scaled is null ? null : OfBlock(scaled));
            });
            ofHidden?.AddRowsInPlace(some, ofStates!.mul_(ofRows));
        }

        private void AddToWeights(Block block, Tensor ofLogits, Tensor? states)
        {
            if (ofWeight is not null)
                MixedPrecision.AddProduct(
                    ofWeight.narrow(0, block.Column, block.Columns), ofLogits.t(), states!.narrow(1, 0, width));
            if (ofLowRank is not null)
                MixedPrecision.AddProduct(
                    ofLowRank.narrow(0, block.Column, block.Columns), ofLogits.t(),
                    states!.narrow(1, width, ofLowRank.shape[1]));
        }

        /// <summary>Adds what follows from the logits of some targets.</summary>
        /// <param name="some">The targets, <c>[m]</c>.</param>
        /// <param name="states">The hidden state that predicts each, <c>[m]</c>.</param>
        /// <param name="ofLogits">The gradient of each one's log-probability, <c>[m]</c>.</param>
        public void AddOfTargets(Tensor some, Tensor states, Tensor ofLogits)
        {
            if (head.Slope(TargetLogits(head, hidden, states, some)) is { } slope)
                ofLogits = ofLogits * slope;
            ofBias?.AddRowsInPlace(some, ofLogits);
            ofHidden?.AddRowsInPlace(
                states, head.Columns(weight => weight.detach().index_select(0, some), float32).mul_(ofLogits.unsqueeze(1)));
            if (ofWeight is null && ofLowRank is null)
                return;
            var products = hidden.detach().index_select(0, states).to(float32) * ofLogits.unsqueeze(1);
            ofWeight?.AddRowsInPlace(some, products.narrow(1, 0, width));
            ofLowRank?.AddRowsInPlace(some, products.narrow(1, width, ofLowRank.shape[1]));
        }

        /// <summary>What autograd is given.</summary>
        public (Tensor? Hidden, Tensor? Weight, Tensor? Bias, Tensor? LowRank) Results() =>
            (sumOfHidden?.Result, sumOfWeight?.Result, sumOfBias?.Result, sumOfLowRank?.Result);
    }
}
