using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>The training loop: batches, gradients, clipping, learning rate, update, metrics, evaluation, checkpoints. What is
/// minimized is the subclass's matter.</summary>
public abstract class Trainer : IDisposable
{
    private readonly Objective objective;
    private readonly TrainingOptions options;
    private readonly optim.Optimizer optimizer;
    private readonly bool ownsOptimizer;
    private readonly ILogger logger;

    private protected Trainer(Objective objective, optim.Optimizer? optimizer, ILogger? logger)
    {
        this.objective = objective;
        options = objective.Options;
        options.Validate();
        this.logger = logger ?? NullLogger.Instance;
        ownsOptimizer = optimizer is null;
        this.optimizer = optimizer ?? Optimizers.Create(objective.Parameters, options);
    }

    /// <summary>Trains, and evaluates on held-out data where there is any.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">What to evaluate on after the last step and every <see cref="TrainingOptions.EvaluateEvery"/>
    /// steps.</param>
    /// <param name="progress">Is told of every step, on the calling thread.</param>
    /// <param name="cancellation">Ends the run between two steps; the model keeps the last step's weights, and where there are
    /// checkpoints one is written.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled; the message says what it can be resumed from.</exception>
    /// <exception cref="NotFiniteNumberException">A loss or gradient was not finite; the update was not made. The message names the
    /// step, its examples and the largest weights.</exception>
    /// <exception cref="InvalidInputException">The checkpoint to resume from is damaged or of another run, or another run writes to
    /// the folder of checkpoints.</exception>
    /// <exception cref="IOException">A checkpoint could not be written; those before it are untouched.</exception>
    public void Train(
        PreferenceData data,
        PreferenceData? heldOut = null,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellation = default) =>
        Run(data, new HeldOutSets(heldOut), progress, cancellation);

    /// <summary>Trains, and evaluates on several held-out sets: the metrics of a set named <c>helpful</c> begin with
    /// <c>eval_helpful_</c>, as TRL's do.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">The held-out sets by name, evaluated in the order of their names.</param>
    /// <param name="progress">As for the other overload, and so are the exceptions.</param>
    /// <param name="cancellation">As for the other overload.</param>
    public void Train(
        PreferenceData data,
        IReadOnlyDictionary<string, PreferenceData> heldOut,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(heldOut);
        Run(data, new HeldOutSets(heldOut), progress, cancellation);
    }

    private void Run(PreferenceData data, HeldOutSets heldOut, IProgress<TrainingMetrics>? progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(data);
        objective.Require(data);
        heldOut.Require(objective);
        int? seed = options.Shuffle ? options.Seed : null;
        var batches = Enumerable.Range(0, options.Steps is null ? options.Epochs : int.MaxValue)
            .SelectMany(epoch => data.Batches(options.BatchSize, seed, epoch));
        var totalSteps = options.Steps ?? batches.Count();
        logger.LogInformation("Training on {Examples} examples for {Steps} steps.", data.Examples.Count, totalSteps);

        using var run = new CheckpointedRun(
            options, new TrainedState(objective.Model, objective.Parameters, optimizer, objective.Pair), totalSteps, () => RunFacts.Of(this, objective, optimizer, data, heldOut), logger);
        var at = run.Position;
        var pace = new PaceClock(totalSteps - at.Step);
        var clock = Stopwatch.StartNew();
        if (options.EvaluateFirst && at.Step == 0 && heldOut.Any)
            progress?.Report(new TrainingMetrics(0, totalSteps, heldOut.Evaluate(objective, at.Step, logger), clock.Elapsed));
        foreach (var batch in batches.Take(totalSteps).Skip(at.Step))
        {
            if (cancellation.IsCancellationRequested)
                throw new OperationCanceledException(run.Leave(at), cancellation);
            clock.Restart();
            var values = Step(batch, at.Step, totalSteps, run.LastGood);
            at = ChosenFall.Watch(at.After(batch), values, options.WarnOfChosenFall, logger);
            objective.AfterUpdate(at.Step);
            var stepTime = clock.Elapsed;
            values["epoch"] = (double)at.Examples / data.Examples.Count;
            values["num_tokens"] = at.Tokens;
            if (heldOut.Any && (at.Step == totalSteps || at.Step % (options.EvaluateEvery ?? totalSteps) == 0))
            {
                foreach (var (name, value) in heldOut.Evaluate(objective, at.Step, logger))
                    values[name] = value;
            }
            progress?.Report(new TrainingMetrics(at.Step, totalSteps, values, clock.Elapsed) { Pace = pace.After(batch, stepTime) });
            // After the report, so that what was measured up to a checkpoint has been told.
            at = run.After(at, values, isLast: at.Step == totalSteps);
        }
        logger.LogInformation("Trained for {Steps} steps.", at.Step);
    }

    private Dictionary<string, double> Step(PreferenceBatch batch, int step, int totalSteps, string? lastGood)
    {
        // Users' optimizers may leave behind handles to gradients and intermediate values; state they keep out of the scope.
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        var values = objective.Train(batch);
        BackwardFailure.Rethrow();
        var gradNorm = GradientNorm.Clip(objective.Parameters, options.MaxGradNorm);
        if (!double.IsFinite(values["loss"]) || !double.IsFinite(gradNorm))
            throw new NotFiniteNumberException(
                $"Step {step + 1} has loss {values["loss"]} and gradient norm {gradNorm}; the update was not made. Its examples: " +
                $"{string.Join(", ", batch.Examples.Select(example => example.Source ?? "unnamed"))}. The largest weights: {LargestWeights.Of(objective.Model)}." +
                (lastGood is null ? "" : $" The last good checkpoint is {lastGood}."));

        var learningRate = options.LearningRate * options.Schedule(step, totalSteps);
        foreach (var group in optimizer.ParamGroups)
            group.LearningRate = learningRate;
        optimizer.step();
        values["grad_norm"] = gradNorm;
        values["learning_rate"] = learningRate;
        return values;
    }

    /// <summary>Measures the loss and its companions on data, without training.</summary>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return new HeldOutSets(data).Evaluate(objective, step: 0, NullLogger.Instance);
    }

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }
}
