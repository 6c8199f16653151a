using System.Diagnostics;
using Dpo.Batching;
using Dpo.Optimizers;
using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>A trainer's loop: batches, updates, checkpoints, evaluations and reports, in this order, so that whatever an
/// evaluation or a report runs into costs no step.</summary>
internal sealed class TrainingLoop(
    Trainer trainer, BatchMeasurement measurement, TrainedParameters trained, optim.Optimizer optimizer, ILogger logger)
{
    private readonly Objective objective = measurement.Objective;
    private readonly TrainingOptions options = measurement.Options;
    private readonly LearningRates rates = new(measurement.Options, optimizer);

    /// <summary>Steps whose updates are in the weights.</summary>
    public int StepsMade { get; private set; }

    /// <summary>Steps of the whole run; 0 before one begins.</summary>
    public int TotalSteps { get; private set; }

    private int? Seed => options.Shuffle ? options.Seed : null;

    /// <summary>Refuses what cannot be trained or evaluated on.</summary>
    public void Check(PreferenceData data, HeldOutSets heldOut)
    {
        ArgumentNullException.ThrowIfNull(data);
        measurement.Require(data, Seed, whole: null);
        heldOut.Require(measurement);
    }

    /// <summary>Runs it, as
    /// <see cref="Trainer.Train(PreferenceData, PreferenceData?, IProgress{TrainingMetrics}?, CancellationToken)"/>
    /// says.</summary>
    public void Run(
        PreferenceData data, HeldOutSets heldOut, IProgress<TrainingMetrics>? progress, CancellationToken cancellationToken)
    {
        (StepsMade, TotalSteps) = (0, 0);
        Check(data, heldOut);
        var totalSteps = options.Steps ?? data.CountBatches(options.BatchSize, Seed, options.Epochs, cancellationToken);
        logger.LogInformation("Training on {Examples} examples for {Steps} steps.", data.Examples.Count, totalSteps);
        rates.Require(totalSteps, logger);

        using var run = new CheckpointedRun(
            PlanOf(data, heldOut, totalSteps), new TrainedState(objective.Model, trained, optimizer, objective), logger);
        using var update = new WeightUpdate(measurement, trained, optimizer, rates);
        var at = run.Position;
        (StepsMade, TotalSteps) = (at.Step, totalSteps);
        objective.Reach(at.Step, totalSteps);
        var reporting = new StepReporting(measurement, heldOut, run, progress, totalSteps, logger, cancellationToken);
        if (at.Unreported is not null)
            at = reporting.Finish(at, pace: null);
        else if (at.Step == 0)
            reporting.ReportStart();
        var pace = new PaceClock(totalSteps - at.Step);
        foreach (var batch in Batches(data).Take(totalSteps).Skip(at.Step).TakeWhile(_ => !reporting.Stops).Select(data.Load))
        {
            if (cancellationToken.IsCancellationRequested)
                throw new OperationCanceledException(run.Leave(at), cancellationToken);
            at = Step(batch, at, update, run.LastGood, data.Examples.Count);
            // Every other step's weights are looked at in the next one, when the device is through with them.
            if (reporting.IsFollowed(at))
                update.RequireFinite(run.LastGood);
            var stepTime = TimeSpan.FromSeconds(at.Unreported!.Seconds);
            at = reporting.Finish(at, () => pace.After(batch, stepTime));
        }
        if (reporting.Stops)
        {
            update.RequireFinite(run.LastGood);
            run.Leave(at);
            TotalSteps = at.Step;
        }
        run.LoadBest(at);
        logger.LogInformation("Trained for {Steps} steps.", at.Step);
    }

    private CheckpointPlan PlanOf(PreferenceData data, HeldOutSets heldOut, int totalSteps) => new()
    {
        Options = options.Checkpoints,
        ResumeFrom = options.ResumeFrom,
        AllowsChanges = options.ResumeWithChanges,
        TotalSteps = totalSteps,
        Facts = () => TrainingFacts.Of(trainer, measurement, data, heldOut, totalSteps),
    };

    /// <summary>The batches of all epochs, of which no example is read yet: those that were made before the run goes on are
    /// passed over.</summary>
    private IEnumerable<IReadOnlyList<int>> Batches(PreferenceData data) =>
        Enumerable.Range(0, options.Steps is null ? options.Epochs : int.MaxValue)
            .SelectMany(epoch => data.Plan(options.BatchSize, Seed, epoch));

    /// <summary>Makes a step.</summary>
    /// <returns>The position after it, with what it measured, which is still to be reported.</returns>
    private RunPosition Step(PreferenceBatch batch, RunPosition at, WeightUpdate update, string? lastGood, int exampleCount)
    {
        var clock = Stopwatch.StartNew();
        var values = update.Make(batch, at.Step, TotalSteps, lastGood);
        at = ChosenFall.Watch(at.After(batch), values, options.WarnOfChosenFall, logger);
        StepsMade = at.Step;
        objective.AfterUpdate(at.Step);
        objective.Reach(at.Step, TotalSteps);
        var seconds = clock.Elapsed.TotalSeconds;
        values["epoch"] = (double)at.Examples / exampleCount;
        values["num_tokens"] = at.Tokens;
        return at with { Unreported = new UnreportedStep(values, seconds) };
    }
}
