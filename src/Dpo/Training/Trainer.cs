using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo;

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
        this.optimizer = optimizer ?? Optimizers.Create(objective.Parameters, objective.Options);
        loop = new TrainingLoop(this, objective, this.optimizer, logger ?? NullLogger.Instance);
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

    /// <summary>Measures the loss and its companions on data, without training.</summary>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        var heldOut = new HeldOutSets(data);
        heldOut.Require(objective);
        return heldOut.Evaluate(objective, step: 0, NullLogger.Instance);
    }

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }
}
