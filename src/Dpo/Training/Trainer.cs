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

    /// <summary>The names of what <see cref="Forward"/> measures; the first is the loss.</summary>
    private protected abstract IReadOnlyList<string> MetricNames { get; }

    /// <summary>What the sums that <see cref="Forward"/> answers with are divided by, counted over the whole batch.</summary>
    private protected abstract int CountIn(PreferenceBatch batch);

    /// <summary>Computes a micro-batch.</summary>
    /// <returns>Its summed loss, a scalar with its graph, and the sums of every metric, <c>[metrics]</c>.</returns>
    private protected abstract (Tensor Loss, Tensor Metrics) Forward(BatchTensors batch);

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

        var (step, examples, tokens) = (0, 0L, 0L);
        foreach (var batch in batches.Take(totalSteps))
        {
            cancellation.ThrowIfCancellationRequested();
            var clock = Stopwatch.StartNew();
            var values = Step(batch, step, totalSteps);
            step++;
            values["epoch"] = (double)(examples += batch.Examples.Count) / data.Examples.Count;
            values["num_tokens"] = tokens += batch.SequenceTokenCount;
            if (heldOut is not null && (step == totalSteps || step % (options.EvaluateEvery ?? totalSteps) == 0))
            {
                foreach (var (name, value) in Evaluate(heldOut))
                    values[name] = value;
                logger.LogInformation("After step {Step} the held-out loss is {Loss:g6}.", step, values["eval_loss"]);
            }
            progress?.Report(new TrainingMetrics(step, totalSteps, values, clock.Elapsed));
        }
        logger.LogInformation("Trained for {Steps} steps.", step);
    }

    /// <summary>Measures the loss and its companions on data, without training.</summary>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        using var noGrad = no_grad();
        var (sums, count) = (new double[MetricNames.Count], 0);
        foreach (var batch in data.Batches(options.BatchSize))
        {
            Accumulate(batch, sums, backward: null);
            count += CountIn(batch);
        }
        return MetricNames.Zip(sums).ToDictionary(metric => "eval_" + metric.First, metric => metric.Second / count);
    }

    private Dictionary<string, double> Step(PreferenceBatch batch, int step, int totalSteps)
    {
        // Users' optimizers may leave behind handles to gradients and intermediate values; state they keep out of the scope.
        using var scope = NewDisposeScope();
        var sums = new double[MetricNames.Count];
        var count = CountIn(batch);
        optimizer.zero_grad();
        Accumulate(batch, sums, backward: loss => (loss / count).backward());
        BackwardFailure.Rethrow();
        var gradNorm = GradientNorm.Clip(parameters, options.MaxGradNorm);
        if (!double.IsFinite(sums[0]) || !double.IsFinite(gradNorm))
            throw new NotFiniteNumberException(
                $"Step {step + 1} has loss {sums[0] / count} and gradient norm {gradNorm}; the update was not made. Its examples: " +
                $"{string.Join(", ", batch.Examples.Select(example => example.Source ?? "unnamed"))}.");

        var learningRate = options.LearningRate * options.Schedule(step, totalSteps);
        foreach (var group in optimizer.ParamGroups)
            group.LearningRate = learningRate;
        optimizer.step();

        var values = MetricNames.Zip(sums).ToDictionary(metric => metric.First, metric => metric.Second / count);
        values["grad_norm"] = gradNorm;
        values["learning_rate"] = learningRate;
        return values;
    }

    /// <summary>Runs a batch part by part and adds up what was measured.</summary>
    private void Accumulate(PreferenceBatch batch, double[] sums, Action<Tensor>? backward)
    {
        foreach (var part in batch.Split(options.MicroBatchTokens, options.MicroBatchSize))
        {
            using var scope = NewDisposeScope();
            var (loss, metrics) = Forward(part.To(model.Device));
            backward?.Invoke(loss);
            foreach (var (index, value) in metrics.cpu().data<float>().Index())
                sums[index] += value;
        }
    }

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }
}
