using Dpo.Batching;
using Dpo.Optimizers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>Trains a model on data: batches, updates, metrics, evaluations, checkpoints. What is minimized is the subclass's
/// matter.</summary>
public abstract class Trainer : IDisposable
{
    private readonly Objective objective;
    private readonly optim.Optimizer optimizer;
    private readonly bool ownsOptimizer;
    private readonly TrainingLoop loop;

    private protected Trainer(Objective objective, optim.Optimizer? optimizer, ILogger? logger)
    {
        this.objective = objective;
        objective.Options.Validate();
        ownsOptimizer = optimizer is null;
        if (optimizer is not null)
            objective.Trained.RequireIn(optimizer);
        this.optimizer = optimizer ?? objective.Options.Optimizer.Create(objective.Parameters, objective.Options.LearningRate!.Value, objective.Options.WeightDecay);
        loop = new TrainingLoop(this, objective, this.optimizer, logger ?? NullLogger.Instance);
    }

    /// <summary>Trains, and evaluates on held-out data where there is any.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">What to evaluate on after the last step and every <see cref="TrainingOptions.EvaluateEvery"/>
    /// steps.</param>
    /// <param name="progress">Is told of every step, on the calling thread, once its checkpoint is written where one is due. What it
    /// throws ends the run and reaches the caller; the model keeps the step's weights, and where there are checkpoints one is written
    /// whose run begins by evaluating and reporting that step again.</param>
    /// <param name="cancellation">Ends the run between two steps or within an evaluation; the model keeps the last step's weights, and
    /// where there are checkpoints one is written.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled; the message says what it can be resumed from.</exception>
    /// <exception cref="NotFiniteNumberException">A loss or gradient was not finite, and the update was not made; the message names the
    /// step, its examples and the largest weights. Or an update left weights that are not finite, which is seen before a
    /// checkpoint is written or an evaluation made, at the end of the run, and otherwise in the next step.</exception>
    /// <exception cref="InvalidInputException">The checkpoint to resume from is damaged or of another run, or another run writes to
    /// the folder of checkpoints.</exception>
    /// <exception cref="IOException">A checkpoint could not be written; those before it are untouched.</exception>
    public void Train(
        PreferenceData data,
        PreferenceData? heldOut = null,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellation = default) =>
        loop.Run(data, new HeldOutSets(heldOut), progress, cancellation);

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
        loop.Run(data, new HeldOutSets(heldOut), progress, cancellation);
    }

    /// <summary>Refuses what <see cref="Train(PreferenceData, PreferenceData?, IProgress{TrainingMetrics}?, CancellationToken)"/> would refuse
    /// of the data, and does nothing else: for a program that replaces an earlier run's files only once all is well.</summary>
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
    /// <param name="cancellation">Ends it between two micro-batches.</param>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        var heldOut = new HeldOutSets(data);
        heldOut.Require(objective);
        return heldOut.Evaluate(objective, step: 0, NullLogger.Instance, cancellation);
    }

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }
}
