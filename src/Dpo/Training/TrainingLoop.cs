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
    private readonly LearningRates rates = new(measurement.Options, optimizer);

    /// <summary>Steps whose updates are in the weights.</summary>
    public int StepsMade { get; private set; }

    /// <summary>Steps of the whole run; 0 before one begins.</summary>
    public int TotalSteps { get; private set; }

    /// <summary>Refuses what cannot be trained or evaluated on.</summary>
    public void Check(PreferenceData data, HeldOutSets heldOut)
    {
        ArgumentNullException.ThrowIfNull(data);
        measurement.Require(data, measurement.Options.Shuffle ? measurement.Options.Seed : null, whole: null);
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
        var (objective, options) = (measurement.Objective, measurement.Options);
        int? seed = options.Shuffle ? options.Seed : null;
        // Of the batches that are counted, or made before the run goes on, no example is read.
        var batches = Enumerable.Range(0, options.Steps is null ? options.Epochs : int.MaxValue)
            .SelectMany(epoch => data.Plan(options.BatchSize, seed, epoch));
        var totalSteps = options.Steps ?? data.CountBatches(options.BatchSize, seed, options.Epochs, cancellationToken);
        logger.LogInformation("Training on {Examples} examples for {Steps} steps.", data.Examples.Count, totalSteps);
        rates.Require(totalSteps, logger);

        var plan = new CheckpointPlan
        {
            Options = options.Checkpoints,
            ResumeFrom = options.ResumeFrom,
            AllowsChanges = options.ResumeWithChanges,
            TotalSteps = totalSteps,
            Facts = () => TrainingFacts.Of(trainer, measurement, data, heldOut, totalSteps),
        };
        using var run = new CheckpointedRun(plan, new TrainedState(objective.Model, trained, optimizer, objective), logger);
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
        var clock = Stopwatch.StartNew();
        foreach (var batch in batches.Take(totalSteps).Skip(at.Step).TakeWhile(_ => !reporting.Stops).Select(data.Load))
        {
            if (cancellationToken.IsCancellationRequested)
                throw new OperationCanceledException(run.Leave(at), cancellationToken);
            clock.Restart();
            var values = update.Make(batch, at.Step, totalSteps, run.LastGood);
            at = ChosenFall.Watch(at.After(batch), values, options.WarnOfChosenFall, logger);
            StepsMade = at.Step;
            objective.AfterUpdate(at.Step);
            objective.Reach(at.Step, totalSteps);
            var stepTime = clock.Elapsed;
            values["epoch"] = (double)at.Examples / data.Examples.Count;
            values["num_tokens"] = at.Tokens;
            // Every other step's weights are looked at in the next one, when the device is through with them.
            if (reporting.IsFollowed(at))
                update.RequireFinite(run.LastGood);
            at = reporting.Finish(
                at with { Unreported = new UnreportedStep(values, stepTime.TotalSeconds) }, () => pace.After(batch, stepTime));
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
}
