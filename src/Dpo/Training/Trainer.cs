using System.Runtime.CompilerServices;
using Dpo.Batching;
using Dpo.Models;
using Dpo.Optimizers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>Trains a model on data: batches, updates, metrics, evaluations, checkpoints. What is minimized is the objective's
/// matter: one of your own, or that of <see cref="DpoTrainer"/> or <see cref="SftTrainer"/>.</summary>
public class Trainer : IDisposable
{
    private readonly BatchMeasurement measurement;
    private readonly optim.Optimizer optimizer;
    private readonly bool ownsOptimizer;
    private readonly TrainingLoop loop;

    /// <summary>Creates the trainer of an objective.</summary>
    /// <param name="objective">What is minimized and measured; its model stays the caller's to dispose, and in its mode.</param>
    /// <param name="options">How to train; the paper's settings by default.</param>
    /// <param name="optimizer">An optimizer of your own over the model's parameters, made after the model was moved to its
    /// device; it keeps its learning rate unless the options set one or a schedule. By default the one the options name.</param>
    /// <param name="logger">Is told of the run's beginning, evaluations and end.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the model has no parameter that is trained, or the
    /// optimizer misses one, or holds one twice.</exception>
    public Trainer(
        Objective objective, TrainingOptions? options = null, optim.Optimizer? optimizer = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(objective);
        options = (options ?? new TrainingOptions()).For(optimizer);
        options.Validate();
        var trained = SomethingTrained(objective.Model);
        if (optimizer is not null)
            trained.RequireIn(optimizer);
        measurement = new BatchMeasurement(objective, options);
        ownsOptimizer = optimizer is null;
        this.optimizer = optimizer
            ?? options.Optimizer.Create(trained.Parameters, options.LearningRate!.Value, options.WeightDecay);
        loop = new TrainingLoop(this, measurement, trained, this.optimizer, logger ?? NullLogger.Instance);
    }

    /// <summary>Trains, and evaluates on held-out data where there is any.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">What to evaluate on after the last step and every <see cref="TrainingOptions.EvaluateEvery"/>
    /// steps.</param>
    /// <param name="progress">Is told of every step, on the calling thread, once its checkpoint is written where one is due. What
    /// it throws ends the run and reaches the caller; the model keeps the step's weights, and where there are checkpoints one is
    /// written whose run begins by evaluating and reporting that step again.</param>
    /// <param name="cancellationToken">Ends the run between two steps or within an evaluation; the model keeps the last step's
    /// weights, and where there are checkpoints one is written.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled; the message says what it can be resumed
    /// from.</exception>
    /// <exception cref="NotFiniteNumberException">A loss or gradient was not finite, and the update was not made; the message
    /// names the step, its examples and the largest weights. Or an update left weights that are not finite, which is seen before
    /// a checkpoint is written or an evaluation made, at the end of the run, and otherwise in the next step.</exception>
    /// <exception cref="InvalidInputException">The checkpoint to resume from is damaged or of another run, or another run writes
    /// to the folder of checkpoints.</exception>
    /// <exception cref="IOException">A checkpoint could not be written; those before it are untouched.</exception>
    [OverloadResolutionPriority(1)] // null means no held-out data, and is no dictionary
    public void Train(
        PreferenceData data,
        PreferenceData? heldOut = null,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellationToken = default) =>
        loop.Run(data, new HeldOutSets(heldOut), progress, cancellationToken);

    /// <summary>Trains, and evaluates on several held-out sets: the metrics of a set named <c>helpful</c> begin with
    /// <c>eval_helpful_</c>, as TRL's do.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">The held-out sets by name, evaluated in the order of their names.</param>
    /// <param name="progress">As for the other overload, and so are the exceptions.</param>
    /// <param name="cancellationToken">As for the other overload.</param>
    public void Train(
        PreferenceData data,
        IReadOnlyDictionary<string, PreferenceData> heldOut,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(heldOut);
        loop.Run(data, new HeldOutSets(heldOut), progress, cancellationToken);
    }

    /// <summary>Refuses what <see cref="Train(PreferenceData, PreferenceData?, IProgress{TrainingMetrics}?, CancellationToken)"/>
    /// would refuse of the data, and does nothing else: for a program that replaces an earlier run's files only once all is
    /// well.</summary>
    /// <param name="data">What is to be trained on.</param>
    /// <param name="heldOut">What is to be evaluated on, if anything.</param>
    /// <exception cref="InvalidInputException">They cannot be used; the message says why.</exception>
    public void Check(PreferenceData data, PreferenceData? heldOut = null) => loop.Check(data, new HeldOutSets(heldOut));

    /// <summary>Steps of the last run whose updates are in the model's weights, those before its checkpoint included; 0 before a
    /// run. Where <see cref="TotalSteps"/> is the same the model is trained, whatever came after.</summary>
    public int StepsMade => loop.StepsMade;

    /// <summary>Steps that the last run was to make; 0 before a run.</summary>
    public int TotalSteps => loop.TotalSteps;

    /// <summary>Measures the loss and its companions on data, without training.</summary>
    /// <param name="data">What to measure them on.</param>
    /// <param name="cancellationToken">Ends it between two micro-batches.</param>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        var heldOut = new HeldOutSets(data);
        heldOut.Require(measurement);
        return heldOut.Evaluate(measurement, step: 0, NullLogger.Instance, cancellationToken);
    }

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }

    private static TrainedParameters SomethingTrained(CausalLanguageModel model) =>
        new TrainedParameters(model) is { All.Count: > 0 } trained
            ? trained
            : throw new ArgumentException(
                model.parameters().FirstOrDefault(parameter => parameter.ElementSize < 4) is { } narrow
                    ? $"The model's weights are kept as {narrow.dtype} and frozen, since updates as small as DPO's cannot move " +
                        "them; load it without a dtype, as fp32, or train a LoRA adapter over it (AddLora)."
                    : "The model has no parameter that requires a gradient, so there is nothing to train; a merged adapter is " +
                        "trained after UnmergeAdapter.", nameof(model));
}
