using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Models;
using Dpo.Native;
using Dpo.Optimizers;
using Dpo.Training.Checkpointing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>
/// What a trainer minimizes and measures. Batches are computed micro-batch by micro-batch, whose shares, and whose gradients, add
/// up to the whole's.
/// </summary>
internal abstract class Objective(CausalLanguageModel model, TrainingOptions options)
{
    /// <summary>The model that is trained.</summary>
    public CausalLanguageModel Model => model;

    /// <summary>Its parameters that are trained.</summary>
    public TrainedParameters Trained { get; } = SomethingTrained(model);

    /// <summary>The same without their names.</summary>
    public IReadOnlyList<Parameter> Parameters => field ??= [.. Trained.All.Select(trained => trained.Parameter)];

    /// <summary>How it is trained.</summary>
    public TrainingOptions Options => options;

    /// <summary>The pair whose reference the loss is measured against; null where it does without one.</summary>
    public virtual PolicyReferencePair? Pair => null;

    /// <summary>Whether the loss of a part of a batch depends on the other parts.</summary>
    protected virtual bool IsBatchCoupled => false;

    /// <summary>Whether the loss takes <see cref="CompletionLogProbs.LogSquaredProbs"/>.</summary>
    protected virtual bool UsesLogSquaredProbs => false;

    /// <summary>Refuses data that cannot be trained or evaluated on, before a run begins.</summary>
    public virtual void Require(PreferenceData data) => ModelFit.Require(model, data);

    /// <summary>Measures a batch as if every log-probability were 0: what the loss refuses, it refuses before the run and not after its
    /// first or last step.</summary>
    public void TryOut(PreferenceBatch batch, PreferenceCounts whole)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var first = batch.To(CPU);
        var nothing = zeros_like(first.Targets, float32);
        var logProbs = new CompletionLogProbs(nothing, first.Layout.CompletionOffsets)
        {
            LogSquaredProbs = UsesLogSquaredProbs ? nothing : null,
            Statistics = options.DetailedMetrics ? new TokenStatistics(nothing, nothing, nothing) : null,
        };
        Measure(new PreferenceLogProbs(logProbs, logProbs, first.Preferences), whole);
    }

    /// <summary>What a resumed run must have in common with the interrupted one, besides model, data and options.</summary>
    public virtual IEnumerable<RunFact> Facts() => [];

    /// <summary>Is called after every update of the weights.</summary>
    /// <param name="step">The step, from 1.</param>
    public virtual void AfterUpdate(int step)
    {
    }

    /// <summary>What the reference says of a micro-batch, without gradients; null where there is no need of it.</summary>
    public virtual CompletionLogProbs? Reference(BatchTensors part) => null;

    /// <summary>Measures a micro-batch.</summary>
    /// <param name="part">Its log-probabilities.</param>
    /// <param name="whole">What the whole batch, or all held-out data, holds.</param>
    /// <returns>The part's share of the whole's loss, a scalar with its graph, and of every metric, a vector, the loss
    /// first: shares add up to the whole's averages, or, where <see cref="Count"/> says so, to counts.</returns>
    public abstract (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole);

    /// <summary>Names the metrics of a whole, in the order of <see cref="Measure"/>; null where there is nothing to
    /// average.</summary>
    public abstract IReadOnlyList<string?> MetricNames(PreferenceCounts whole);

    /// <summary>How many there are of what a metric counts, by its name; 1 where it is an average. Counts add up exactly where shares of
    /// 1 do not.</summary>
    protected virtual int Count(string metric, PreferenceCounts whole) => 1;

    /// <summary>Adds the gradients of a batch's loss to the parameters'. Nothing waits for the device.</summary>
    /// <returns>The batch's metrics, for <see cref="HostRead"/> and <see cref="Named"/>; a tensor of the current dispose scope.</returns>
    public Tensor Train(PreferenceBatch batch) => Run(batch, batch.Counts, train: true, CancellationToken.None);

    /// <summary>Measures data, without gradients. The device is waited for once, at the end.</summary>
    /// <param name="data">The data.</param>
    /// <param name="cancellation">Ends it between two micro-batches.</param>
    /// <returns>The averages over all of it.</returns>
    public Dictionary<string, double> Evaluate(PreferenceData data, CancellationToken cancellation)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var whole = data.Counts;
        return Named(whole, HostRead.Of(Sum(data.Batches(options.BatchSize).Select(batch => Run(batch, whole, train: false, cancellation)))));
    }

    /// <summary>Names the metrics of a whole.</summary>
    /// <param name="whole">What it holds.</param>
    /// <param name="sums">What <see cref="Measure"/> gave for its parts, summed up.</param>
    /// <returns>The averages, <c>loss</c> among them.</returns>
    public Dictionary<string, double> Named(PreferenceCounts whole, IEnumerable<double> sums) =>
        MetricNames(whole).Zip(sums).Where(metric => metric.First is not null)
            .ToDictionary(metric => metric.First!, metric => metric.Second / Count(metric.First!, whole));

    private Tensor Run(PreferenceBatch batch, PreferenceCounts whole, bool train, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        PreferenceBatch[] parts = [.. batch.Split(options.MicroBatchTokens, options.MicroBatchSize)];
        // What a loss must be given at once: the batch, where it couples that; else a part, which may still be too large to be
        // computed at once: many completions that preferences join.
        IEnumerable<PreferenceBatch[]> taken = IsBatchCoupled ? [parts] : parts.Select(part => new[] { part });
        return Sum(taken.Select(together => together.Sum(part => part.Slices(options.MicroBatchTokens).Count()) > 1
            ? CoupledParts.Run(this, together, whole, train)
            : Whole(together[0])));

        Tensor Whole(PreferenceBatch part)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var (loss, metrics) = Measure(LogProbs(part.To(model.Device)), whole);
            if (train)
                loss.backward();
            return Summable(metrics).MoveToOuterDisposeScope();
        }
    }

    /// <summary>All log-probabilities of a part. The reference's first: it may run on the policy's parameters, whose values may not
    /// change once the policy's graph holds on to them.</summary>
    private PreferenceLogProbs LogProbs(BatchTensors part)
    {
        var reference = Reference(part);
        return new PreferenceLogProbs(Policy(part), reference, part.Preferences);
    }

    /// <summary>The log-probabilities of a part under the model that is trained.</summary>
    public CompletionLogProbs Policy(BatchTensors part) =>
        CompletionLogProbs.Compute(model, part, UsesLogSquaredProbs, options.DetailedMetrics);

    /// <summary>Metrics of a part as they are added up, on their device.</summary>
    public static Tensor Summable(Tensor metrics) => metrics.to(HostRead.Precision(metrics.device));

    /// <summary>Adds up the metrics of parts as they are computed; two at a time are alive.</summary>
    private static Tensor Sum(IEnumerable<Tensor> parts) => parts.Aggregate((sum, part) =>
    {
        using var scope = NewDisposeScope();
        var both = sum.Plus(part).MoveToOuterDisposeScope();
        sum.Dispose();
        part.Dispose();
        return both;
    });

    private static TrainedParameters SomethingTrained(CausalLanguageModel model) =>
        new TrainedParameters(model) is { All.Count: > 0 } trained
            ? trained
            : throw new ArgumentException(
                model.parameters().FirstOrDefault(parameter => parameter.ElementSize < 4) is { } narrow
                    ? $"The model's weights are kept as {narrow.dtype} and frozen, since updates as small as DPO's cannot move them; load it without a dtype, as fp32, " +
                        "or train a LoRA adapter over it (AddLora)."
                    : "The model has no parameter that requires a gradient, so there is nothing to train; a merged adapter is trained after UnmergeAdapter.", nameof(model));
}
