using Dpo.Batching;
using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>An objective over batches and data: cut into parts, whose shares, and whose gradients, add up to the
/// whole's.</summary>
/// <param name="objective">What is measured.</param>
/// <param name="options">How batches are cut.</param>
internal sealed class BatchMeasurement(Objective objective, TrainingOptions options)
{
    /// <summary>What is measured.</summary>
    public Objective Objective => objective;

    /// <summary>How the run is made.</summary>
    public TrainingOptions Options => options;

    /// <summary>Refuses data that cannot be trained or evaluated on, before a run begins.</summary>
    /// <param name="data">The data. Only the first batch is read, and an example that is refused.</param>
    /// <param name="seed">What orders them; null for their own order.</param>
    /// <param name="whole">What averages are over; null for the first batch.</param>
    public void Require(PreferenceData data, int? seed, PreferenceCounts? whole)
    {
        ModelFit.Require(objective.Model, data);
        objective.Require(data);
        var first = data.Batches(options.BatchSize, seed).First();
        objective.RequireMeasurable(first, whole ?? first.Counts);
    }

    /// <summary>Adds the gradients of a batch's loss to the parameters'. Nothing waits for the device.</summary>
    /// <returns>The batch's metrics, for <see cref="HostRead"/> and <see cref="Named"/>; a tensor of the current dispose
    /// scope.</returns>
    public Tensor AddGradients(PreferenceBatch batch) => Run(batch, batch.Counts, train: true, CancellationToken.None);

    /// <summary>Measures data in evaluation mode, without gradients. The device is waited for once, at the end.</summary>
    /// <param name="data">The data.</param>
    /// <param name="cancellationToken">Ends it between two micro-batches.</param>
    /// <returns>The averages over all of it.</returns>
    public Dictionary<string, double> Evaluate(PreferenceData data, CancellationToken cancellationToken)
    {
        using var noGrad = no_grad();
        using var mode = new EvaluationMode(objective.Model);
        using var scope = NewDisposeScope();
        var whole = data.Counts;
        var batches = data.Batches(options.BatchSize).Select(batch => Run(batch, whole, train: false, cancellationToken));
        return Named(whole, HostRead.Of(Together(batches, whole)));
    }

    /// <summary>Names the metrics of a whole.</summary>
    /// <param name="whole">What it holds.</param>
    /// <param name="sums">What was measured of its parts, brought together; there may be more behind it.</param>
    /// <returns>The averages, <c>loss</c> among them.</returns>
    public Dictionary<string, double> Named(PreferenceCounts whole, IEnumerable<double> sums) =>
        Metrics(whole).Zip(sums, (metric, sum) => (metric.Name, Value: sum / metric.Count))
            .ToDictionary(measured => measured.Name, measured => measured.Value);

    /// <summary>All metrics of a whole, in the order of their values.</summary>
    public IEnumerable<Metric> Metrics(PreferenceCounts whole) => objective.Metrics(whole).Prepend(new("loss"));

    private Tensor Run(PreferenceBatch batch, PreferenceCounts whole, bool train, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        PreferenceBatch[] parts = [.. batch.Split(options.MicroBatchTokens, options.MicroBatchSize)];
        return Together(objective.Compute(parts, whole, options.MicroBatchTokens, train, cancellationToken), whole);
    }

    /// <summary>Brings together the metrics of parts as they are computed; two at a time are alive.</summary>
    private Tensor Together(IEnumerable<Tensor> parts, PreferenceCounts whole)
    {
        MetricFold[] folds = [.. Metrics(whole).Select(metric => metric.Fold)];
        return parts.Aggregate((all, part) =>
        {
            using var scope = NewDisposeScope();
            var both = all.Plus(part);
            if (folds.Contains(MetricFold.Minimum))
                both = where(Places(MetricFold.Minimum), minimum(all, part), both);
            if (folds.Contains(MetricFold.Maximum))
                both = where(Places(MetricFold.Maximum), maximum(all, part), both);
            both.MoveToOuterDisposeScope();
            all.Dispose();
            part.Dispose();
            return both;

            Tensor Places(MetricFold fold) =>
                DeviceCopy.Of([.. folds.Select(of => of == fold ? 1L : 0L)], part.device).to(ScalarType.Bool);
        });
    }
}
