using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// The training loop: batches, micro-batches whose gradients add up to the whole batch's, clipping, learning rate, update,
/// metrics. What is minimized is the subclass's matter.
/// </summary>
public abstract class Trainer : IDisposable
{
    private readonly CausalLanguageModel model;
    private readonly List<Parameter> parameters;
    private readonly TrainingOptions options;
    private readonly optim.Optimizer optimizer;
    private readonly bool ownsOptimizer;
    private readonly ILogger logger;

    private protected Trainer(CausalLanguageModel model, TrainingOptions? options, optim.Optimizer? optimizer, ILogger? logger)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        this.options = options ?? new TrainingOptions();
        this.options.Validate();
        this.logger = logger ?? NullLogger.Instance;
        parameters = [.. model.parameters().Where(parameter => parameter.requires_grad)];
        if (parameters.Count == 0)
            throw new ArgumentException(
                "The model has no parameter that requires a gradient, so there is nothing to train; a merged adapter is trained after UnmergeAdapter.",
                nameof(model));
        ownsOptimizer = optimizer is null;
        this.optimizer = optimizer ?? Optimizers.Create(parameters, this.options);
    }

    /// <summary>Whether the loss of a part of a batch depends on the other parts.</summary>
    private protected virtual bool IsBatchCoupled => false;

    /// <summary>Whether the loss takes <see cref="CompletionLogProbs.LogSquaredProbs"/>.</summary>
    private protected virtual bool UsesLogSquaredProbs => false;

    /// <summary>Whether <see cref="CompletionLogProbs.Statistics"/> are measured.</summary>
    private protected bool IsDetailed => options.DetailedMetrics;

    /// <summary>Refuses data that cannot be trained or evaluated on, before a run begins.</summary>
    private protected virtual void Require(PreferenceData data)
    {
    }

    /// <summary>Is called after every update of the weights.</summary>
    /// <param name="step">The step, from 1.</param>
    private protected virtual void AfterUpdate(int step)
    {
    }

    /// <summary>What the reference says of a micro-batch, without gradients; null where there is no need of it.</summary>
    private protected abstract CompletionLogProbs? Reference(BatchTensors part);

    /// <summary>Measures a micro-batch.</summary>
    /// <param name="part">Its log-probabilities.</param>
    /// <param name="whole">What the whole batch, or all held-out data, holds.</param>
    /// <returns>The part's share of the whole's loss, a scalar with its graph, and of every metric, a vector, the loss
    /// first: shares add up to the whole's averages.</returns>
    private protected abstract (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole);

    /// <summary>Names the metrics of a whole, in the order of <see cref="Measure"/>; null where there is nothing to
    /// average.</summary>
    private protected abstract IReadOnlyList<string?> MetricNames(PreferenceCounts whole);

    /// <summary>Trains, and evaluates on held-out data where there is any.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">What to evaluate on after the last step and every <see cref="TrainingOptions.EvaluateEvery"/>
    /// steps.</param>
    /// <param name="progress">Is told of every step, on the calling thread.</param>
    /// <param name="cancellation">Ends the run between two steps; the model keeps the last step's weights.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    /// <exception cref="NotFiniteNumberException">A loss or gradient was not finite; the update was not made.</exception>
    public void Train(
        PreferenceData data,
        PreferenceData? heldOut = null,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        int? seed = options.Shuffle ? options.Seed : null;
        var batches = Enumerable.Range(0, options.Steps is null ? options.Epochs : int.MaxValue)
            .SelectMany(epoch => data.Batches(options.BatchSize, seed, epoch));
        var totalSteps = options.Steps ?? batches.Count();
        logger.LogInformation("Training on {Examples} examples for {Steps} steps.", data.Examples.Count, totalSteps);

        Require(data);
        if (heldOut is not null)
            Require(heldOut);
        var pace = new PaceClock(totalSteps);
        var (step, examples, tokens) = (0, 0L, 0L);
        foreach (var batch in batches.Take(totalSteps))
        {
            cancellation.ThrowIfCancellationRequested();
            var clock = Stopwatch.StartNew();
            var values = Step(batch, step, totalSteps);
            step++;
            AfterUpdate(step);
            var stepTime = clock.Elapsed;
            values["epoch"] = (double)(examples += batch.Examples.Count) / data.Examples.Count;
            values["num_tokens"] = tokens += batch.SequenceTokenCount;
            if (heldOut is not null && (step == totalSteps || step % (options.EvaluateEvery ?? totalSteps) == 0))
            {
                foreach (var (name, value) in Evaluate(heldOut))
                    values[name] = value;
                logger.LogInformation("After step {Step} the held-out loss is {Loss:g6}.", step, values["eval_loss"]);
            }
            progress?.Report(new TrainingMetrics(step, totalSteps, values, clock.Elapsed) { Pace = pace.After(batch, stepTime) });
        }
        logger.LogInformation("Trained for {Steps} steps.", step);
    }

    /// <summary>Measures the loss and its companions on data, without training.</summary>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        using var noGrad = no_grad();
        var whole = PreferenceCounts.Of(data.Examples);
        var sums = data.Batches(options.BatchSize).Select(batch => Run(batch, whole, train: false)).Aggregate(Add);
        return Metrics(whole, sums).ToDictionary(metric => "eval_" + metric.Key, metric => metric.Value);
    }

    private Dictionary<string, double> Step(PreferenceBatch batch, int step, int totalSteps)
    {
        // Users' optimizers may leave behind handles to gradients and intermediate values; state they keep out of the scope.
        using var scope = NewDisposeScope();
        var counts = batch.Counts;
        optimizer.zero_grad();
        var sums = Run(batch, counts, train: true);
        BackwardFailure.Rethrow();
        var gradNorm = GradientNorm.Clip(parameters, options.MaxGradNorm);
        if (!double.IsFinite(sums[0]) || !double.IsFinite(gradNorm))
            throw new NotFiniteNumberException(
                $"Step {step + 1} has loss {sums[0]} and gradient norm {gradNorm}; the update was not made. Its examples: " +
                $"{string.Join(", ", batch.Examples.Select(example => example.Source ?? "unnamed"))}.");

        var learningRate = options.LearningRate * options.Schedule(step, totalSteps);
        foreach (var group in optimizer.ParamGroups)
            group.LearningRate = learningRate;
        optimizer.step();

        var values = Metrics(counts, sums);
        values["grad_norm"] = gradNorm;
        values["learning_rate"] = learningRate;
        return values;
    }

    private Dictionary<string, double> Metrics(PreferenceCounts whole, double[] sums) =>
        MetricNames(whole).Zip(sums).Where(metric => metric.First is not null).ToDictionary(metric => metric.First!, metric => metric.Second);

    /// <summary>Runs a batch part by part, in training with the backward pass, and adds up what was measured.</summary>
    private double[] Run(PreferenceBatch batch, PreferenceCounts whole, bool train)
    {
        PreferenceBatch[] parts = [.. batch.Split(options.MicroBatchTokens, options.MicroBatchSize)];
        return parts.Length > 1 && IsBatchCoupled
            ? CoupledParts.Run(parts, Forward, part => Measure(part, whole), train ? Policy : null, model.Device)
            : parts.Select(part =>
            {
                using var scope = NewDisposeScope();
                var (loss, metrics) = Measure(Forward(part.To(model.Device)), whole);
                if (train)
                    loss.backward();
                return Values(metrics);
            }).Aggregate(Add);
    }

    /// <summary>Metrics out of their tensor.</summary>
    internal static double[] Values(Tensor metrics) => [.. metrics.cpu().data<float>().Select(value => (double)value)];

    private static double[] Add(double[] sums, double[] values) => [.. sums.Zip(values, (sum, value) => sum + value)];

    /// <summary>The log-probabilities of a part. The reference's first: it may run on the policy's parameters, whose values may not
    /// change once the policy's graph holds on to them.</summary>
    private PreferenceLogProbs Forward(BatchTensors part)
    {
        var reference = Reference(part);
        return new PreferenceLogProbs(Policy(part), reference, part.Preferences);
    }

    private CompletionLogProbs Policy(BatchTensors part) => CompletionLogProbs.Compute(model, part, UsesLogSquaredProbs, IsDetailed);

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }
}
