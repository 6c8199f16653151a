using Dpo.Batching;
using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>The log-probabilities of every completion of a batch under one model, in fp32.</summary>
/// <remarks>
/// A completion's log-probability is the sum over its tokens, the end-of-text token included (the paper's code, and TRL). It
/// is not divided by the length; losses that want the mean divide <see cref="Sums"/> by <see cref="Counts"/>.
/// </remarks>
public sealed class CompletionLogProbs
{
    /// <summary>Makes them of the values of tokens, however those were computed: values of a model and of a file give the same
    /// sums to the bit.</summary>
    /// <param name="perToken">See <see cref="PerToken"/>.</param>
    /// <param name="offsets">See <see cref="Offsets"/>; every completion has at least one token.</param>
    /// <exception cref="ArgumentException">The offsets are not those of as many tokens.</exception>
    public CompletionLogProbs(Tensor perToken, IReadOnlyList<int> offsets)
    {
        ArgumentNullException.ThrowIfNull(perToken);
        ArgumentNullException.ThrowIfNull(offsets);
        float[] counts = [.. offsets.Zip(offsets.Skip(1), (begin, end) => end - begin)];
        if (offsets is not [0, .., var last] || !perToken.shape.SequenceEqual([last]) || counts.Any(count => count < 1))
            throw new ArgumentException(
                $"Offsets go from 0, ascending, to the number of tokens; the tokens are [{string.Join(", ", perToken.shape)}].",
                nameof(offsets));
        PerToken = perToken;
        Sums = SegmentSums.Of(perToken, [.. offsets.Select(offset => (long)offset)]);
        Counts = DeviceCopy.Of(counts, perToken.device);
        Offsets = offsets;
    }

    /// <summary>log p of every completion token given what precedes it, <c>[M]</c>, completion after completion.</summary>
    public Tensor PerToken { get; }

    /// <summary>The log-probability of every completion, <c>[S]</c>: added up in float64, so that it depends on no
    /// other's.</summary>
    public Tensor Sums { get; }

    /// <summary>Tokens of every completion, <c>[S]</c>, fp32.</summary>
    public Tensor Counts { get; }

    /// <summary>Completion <c>s</c> owns <see cref="PerToken"/> from <c>[s]</c> up to <c>[s + 1]</c>; <c>[S + 1]</c>.</summary>
    public IReadOnlyList<int> Offsets { get; }

    /// <summary>
    /// log Σ_v p(v)² of the distribution each token was predicted from, <c>[M]</c>, detached: the logarithm of the probability
    /// that a token drawn from it has on average. Null unless it was asked for (<c>WpoLoss</c>).
    /// </summary>
    public Tensor? LogSquaredProbs { get; init; }

    /// <summary>Entropies and the like, for metrics. Null unless it was asked for
    /// (<c>TrainingOptions.DetailedMetrics</c>).</summary>
    public TokenStatistics? Statistics { get; init; }

    /// <summary>
    /// The KL of the model from a reference, Σ_v π_ref(v) log(π_ref(v)/π(v)) in nats, of the distribution each token was
    /// predicted from, <c>[M]</c>. Gradients flow into it as into <see cref="PerToken"/>. Null unless it was asked for
    /// (<c>Tdpo1Loss</c>).
    /// </summary>
    public Tensor? ReferenceKl { get; init; }

    /// <summary>What <see cref="ReferenceKl"/> of another model is measured against. Null unless it was asked for.</summary>
    public TokenDistributions? Distributions { get; init; }

    /// <summary>
    /// Computes them. The output head runs only on the rows that predict a completion's token. Gradients flow where grad mode
    /// is on.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The batch, on the model's device.</param>
    /// <param name="request">What is computed beside; by default nothing.</param>
    /// <param name="reference">The same batch's under the model that <see cref="ReferenceKl"/> is measured against, with its
    /// <see cref="Distributions"/>; looked at only where that is asked for.</param>
    /// <returns>Tensors of the current dispose scope.</returns>
    /// <exception cref="InvalidOperationException">A KL is asked for, and there are no distributions to measure it
    /// against.</exception>
    /// <exception cref="InvalidInputException">The two models have vocabularies of different sizes.</exception>
    public static CompletionLogProbs Compute(
        CausalLanguageModel model, BatchTensors batch, LogProbsRequest? request = null, CompletionLogProbs? reference = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        if (model is TransformerModel { IsScalar: true })
            throw new InvalidOperationException(
                "The model gives one number for a hidden state, and no logits to predict tokens by.");
        // A loop that is not the trainer's asks for failures of its last backward pass here.
        BackwardFailure.Rethrow();
        using var pass = new BackwardPass();
        return OfHidden(model.Head, model.call(batch.Ids, batch.Layout), batch, model.LogitsMemory, request, pass, reference);
    }

    /// <summary>Computes them of hidden states that are there already.</summary>
    /// <param name="head">What turns them into logits.</param>
    /// <param name="hidden">Those of the batch's rows.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="logitsMemory">See <see cref="CausalLanguageModel.LogitsMemory"/>.</param>
    /// <param name="request">What is computed beside.</param>
    /// <param name="pass">The passes that this computation is the end of; null where the caller goes on with it.</param>
    /// <param name="reference">What a KL is measured against, as <see cref="Compute"/> takes it.</param>
    internal static CompletionLogProbs OfHidden(
        OutputHead head, Tensor hidden, BatchTensors batch, long logitsMemory, LogProbsRequest? request = null,
        BackwardPass? pass = null, CompletionLogProbs? reference = null)
    {
        var layout = batch.Layout;
        var predicting = DeviceCopy.Of(layout.PredictingRows, batch.Ids.device);
        var rows = DeviceCopy.Of(layout.PredictionOfToken, batch.Ids.device);
        Tensor values;
        RowStatistics? ofRows = null;
        var against = request is { ReferenceKl: true } ? Against(reference, head.Weight?.shape[0] ?? hidden.shape[1]) : null;
        if (head.Weight is null)
        {
            var logits = hidden.index_select(0, predicting).to(float32);
            values = PlainLogProbs(logits, rows, batch.Targets);
            if (against is not null)
                values = cat([values, PlainKl(logits, against.Head.Logits(against.States).to(float32))]);
            if (request is { LogSquaredProbs: true } or { Statistics: true })
                ofRows = RowStatistics.Of(logits, request);
        }
        else
        {
            if (request is { LogSquaredProbs: true } or { Statistics: true })
                ofRows = new RowStatistics(predicting.shape[0], hidden.device, request);
            var blocks = HeadBlocks.Of(hidden.device, head.Weight, logitsMemory);
            values = ChunkedHead.LogProbs(head, hidden, predicting, rows, batch.Targets, blocks, ofRows, against);
        }
        values = pass?.Over(values) ?? values;
        var (count, distinct) = (batch.Targets.shape[0], predicting.shape[0]);
        return new(against is null ? values : values.narrow(0, 0, count), layout.CompletionOffsets)
        {
            ReferenceKl = against is null ? null : values.narrow(0, count, distinct).index_select(0, rows),
            Distributions = request is { Distributions: true }
                ? new TokenDistributions(head, hidden.index_select(0, predicting))
                : null,
            LogSquaredProbs = ofRows?.LogSquaredProbs?.index_select(0, rows),
            Statistics = request is { Statistics: true }
                ? new TokenStatistics(
                    ofRows!.Entropies!.index_select(0, rows), ofRows.MeanLogits!.index_select(0, rows),
                    ofRows.Likeliest!.index_select(0, rows).eq(batch.Targets).to(float32))
                : null,
        };
    }

    /// <summary>Those of all parts of a batch, in order. Gradients flow back into each part's <see cref="PerToken"/>.</summary>
    internal static CompletionLogProbs Concat(IReadOnlyList<CompletionLogProbs> parts)
    {
        var offsets = new List<int> { 0 };
        foreach (var part in parts)
        {
            var first = offsets[^1];
            offsets.AddRange(part.Offsets.Skip(1).Select(offset => first + offset));
        }
        Tensor? Joined(Func<CompletionLogProbs, Tensor?> values) =>
            values(parts[0]) is null ? null : cat([.. parts.Select(part => values(part)!)]);
        return new CompletionLogProbs(cat([.. parts.Select(part => part.PerToken)]), offsets)
        {
            ReferenceKl = Joined(part => part.ReferenceKl),
            LogSquaredProbs = Joined(part => part.LogSquaredProbs),
            Statistics = parts[0].Statistics is null ? null : new TokenStatistics(
                Joined(part => part.Statistics!.Entropies)!, Joined(part => part.Statistics!.MeanLogits)!,
                Joined(part => part.Statistics!.Hits)!),
        };
    }

    /// <summary>Keeps its tensors alive beyond the current dispose scope.</summary>
    internal CompletionLogProbs MoveToOuterDisposeScope()
    {
        foreach (var tensor in (Tensor?[])
            [
                PerToken, Sums, Counts, ReferenceKl, LogSquaredProbs, Statistics?.Entropies, Statistics?.MeanLogits,
                Statistics?.Hits,
            ])
            tensor?.MoveToOuterDisposeScope();
        Distributions?.MoveToOuterDisposeScope();
        return this;
    }

    private static TokenDistributions Against(CompletionLogProbs? reference, long vocabulary)
    {
        var against = reference?.Distributions ?? throw new InvalidOperationException(
            "The KL is measured against another model's distributions, and none were given; compute that model's " +
            "log-probabilities with LogProbsRequest.Distributions, and pass them.");
        return against.Vocabulary == vocabulary ? against : throw new InvalidInputException(
            $"The model's vocabulary has {vocabulary} entries and the reference's {against.Vocabulary}, so there is no KL " +
            "between their distributions; take models of one vocabulary, or another loss.");
    }

    /// <summary>The KL of distributions from others, given their logits, <c>[R, V]</c>; no gradient flows into the
    /// others.</summary>
    internal static Tensor PlainKl(Tensor logits, Tensor reference)
    {
        var logs = RowStatistics.Finite(reference.detach().log_softmax(1));
        return (logs.exp() * (logs - RowStatistics.Finite(logits.log_softmax(1)))).sum(1);
    }

    /// <summary>The same for hidden states that are the logits.</summary>
    private static Tensor PlainLogProbs(Tensor logits, Tensor rows, Tensor targets) =>
        logits.index_select(0, rows).gather(1, targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(1).index_select(0, rows);
}
