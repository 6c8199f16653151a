using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>What the head gathers of its rows on request, beside the log-probabilities of targets; R rows, in the current dispose
/// scope.</summary>
internal sealed class RowStatistics
{
    private readonly LogProbsRequest request;

    /// <summary>Makes room for what is asked for.</summary>
    /// <param name="rows">R.</param>
    /// <param name="device">The head's device.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="dtype">What it is kept in.</param>
    public RowStatistics(long rows, Device device, LogProbsRequest request, ScalarType dtype = ScalarType.Float32)
    {
        this.request = request;
        LogSquaredProbs = request.LogSquaredProbs ? empty([rows], dtype, device) : null;
        Entropies = request.Statistics ? empty([rows], dtype, device) : null;
        MeanLogits = request.Statistics ? empty([rows], dtype, device) : null;
        Likeliest = request.Statistics ? empty([rows], int64, device) : null;
    }

    /// <summary>log Σ p², <c>[R]</c>.</summary>
    public Tensor? LogSquaredProbs { get; }

    /// <summary>−Σ p log p, <c>[R]</c>.</summary>
    public Tensor? Entropies { get; }

    /// <summary>The mean of the logits, <c>[R]</c>.</summary>
    public Tensor? MeanLogits { get; }

    /// <summary>The likeliest token, <c>[R]</c>, int64.</summary>
    public Tensor? Likeliest { get; }

    /// <summary>The same of whole logits, <c>[R, V]</c>, in their precision.</summary>
    public static RowStatistics Of(Tensor logits, LogProbsRequest request)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var statistics = new RowStatistics(logits.shape[0], logits.device, request, logits.dtype);
        var logProbs = logits.log_softmax(1);
        statistics.LogSquaredProbs?.copy_(logProbs.Times(2).logsumexp(1));
        statistics.Entropies?.copy_(Finite(logProbs).mul_(logProbs.exp()).sum(1).neg_());
        statistics.MeanLogits?.copy_(logits.mean([1]));
        statistics.Likeliest?.copy_(logits.argmax(1));
        foreach (var kept in (Tensor?[])
            [statistics.LogSquaredProbs, statistics.Entropies, statistics.MeanLogits, statistics.Likeliest])
            kept?.MoveToOuterDisposeScope();
        return statistics;
    }

    /// <summary>Logits may be −∞, for entries that are ruled out. A probability of 0 has no part in the entropy, but 0 · −∞ is no
    /// number.</summary>
    internal static Tensor Finite(Tensor logs) => logs.AtLeast(float.MinValue);

    /// <summary>The sums over the vocabulary, block by block, of a piece of the rows.</summary>
    public RunningSums Start(long rows, Device device) => new(this, rows, device);

    /// <summary>Sums over the vocabulary so far, those of exponentials relative to the largest logit so far.</summary>
    internal sealed class RunningSums(RowStatistics of, long rows, Device device)
    {
        private readonly Tensor? squares = of.request.LogSquaredProbs ? zeros([rows], float32, device) : null;
        private readonly Tensor? products = of.request.Statistics ? zeros([rows], float32, device) : null;
        private readonly Tensor? logits = of.request.Statistics ? zeros([rows], float32, device) : null;
        private readonly Tensor? likeliest = of.request.Statistics ? zeros([rows], int64, device) : null;
        private long vocabulary;

        /// <summary>Adds a block's logits x as they are, before anything is subtracted.</summary>
        /// <param name="row">The block's first row.</param>
        /// <param name="column">Its first vocabulary entry.</param>
        /// <param name="block">Its logits.</param>
        /// <param name="maximum">The largest logit of each of its rows in earlier blocks.</param>
        public void AddLogits(long row, long column, Tensor block, Tensor maximum)
        {
            if (!of.request.Statistics)
                return;
            var count = block.shape[0];
            logits!.narrow(0, row, count).AddInPlace(block.sum(1));
            var (largest, places) = block.max(1);
            var itsLikeliest = likeliest!.narrow(0, row, count);
            itsLikeliest.copy_(where(largest.gt(maximum), places.AddInPlace(column), itsLikeliest));
            if (row == 0)
                vocabulary += block.shape[1];
        }

        /// <summary>Adds a block's exponentials.</summary>
        /// <param name="row">The block's first row.</param>
        /// <param name="below">x − m, m being the largest logit so far.</param>
        /// <param name="exponentials">exp(x − m).</param>
        /// <param name="fall">What the earlier blocks' largest logit is less m by, at most 0; very far for the first
        /// block.</param>
        /// <param name="sum">Σ exp(x − earlier m) over the earlier blocks.</param>
        public void AddExponentials(long row, Tensor below, Tensor exponentials, Tensor fall, Tensor sum)
        {
            var count = below.shape[0];
            squares?.narrow(0, row, count).mul_(fall.Times(2).exp_()).AddInPlace(exponentials.Squared().sum(1));
            // Σ e^(x−m)(x−m): e^d (Σ e^(x−m')(x−m') + d Σ e^(x−m')) of the earlier blocks, whose m' = m + d. Far below, e^d is 0
            // for any d; a finite one keeps −∞ · 0 away.
            var finite = fall.AtLeast(-1000);
            products?.narrow(0, row, count).AddInPlace(finite * sum).mul_(finite.exp())
                .AddInPlace(Finite(below).mul_(exponentials).sum(1));
        }

        /// <summary>Writes the piece's statistics.</summary>
        /// <param name="first">The piece's first row.</param>
        /// <param name="sum">Σ exp(x − m).</param>
        /// <param name="logSum">Its logarithm.</param>
        public void Finish(long first, Tensor sum, Tensor logSum)
        {
            of.LogSquaredProbs?.narrow(0, first, rows).copy_(squares!.log_().sub_(logSum.Times(2)));
            of.Entropies?.narrow(0, first, rows).copy_(logSum - products!.div_(sum));
            of.MeanLogits?.narrow(0, first, rows).copy_(logits!.DivideInPlace(vocabulary));
            of.Likeliest?.narrow(0, first, rows).copy_(likeliest!);
        }
    }
}
