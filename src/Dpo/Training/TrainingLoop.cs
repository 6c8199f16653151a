using System.Diagnostics;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>A trainer's loop: batches, updates, evaluations, reports and checkpoints.</summary>
internal sealed class TrainingLoop(Trainer trainer, Objective objective, optim.Optimizer optimizer, ILogger logger)
{
    /// <summary>Runs it, as <see cref="Trainer.Train(PreferenceData, PreferenceData?, IProgress{TrainingMetrics}?, CancellationToken)"/>
    /// says.</summary>
    public void Run(PreferenceData data, HeldOutSets heldOut, IProgress<TrainingMetrics>? progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(data);
        objective.Require(data);
        heldOut.Require(objective);
        var options = objective.Options;
        int? seed = options.Shuffle ? options.Seed : null;
        var batches = Enumerable.Range(0, options.Steps is null ? options.Epochs : int.MaxValue)
            .SelectMany(epoch => data.Batches(options.BatchSize, seed, epoch));
        var totalSteps = options.Steps ?? batches.Count();
        logger.LogInformation("Training on {Examples} examples for {Steps} steps.", data.Examples.Count, totalSteps);

        var state = new TrainedState(objective.Model, objective.Parameters, optimizer, objective.Pair);
        using var run = new CheckpointedRun(
            options, state, totalSteps, () => RunFacts.Of(trainer, objective, optimizer, data, heldOut), logger);
        var update = new WeightUpdate(objective, optimizer);
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
            var values = update.Make(batch, at.Step, totalSteps, run.LastGood);
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
}
