using System.Diagnostics;
using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;

namespace Dpo.Training;

/// <summary>What follows a step's update: the checkpoint where one is due, the evaluation where one is due, and the report. The
/// checkpoint is written first, and marks the step as not yet reported; a run resumed from it evaluates and reports that
/// step.</summary>
internal sealed class StepReporting(
    BatchMeasurement measurement, HeldOutSets heldOut, CheckpointedRun run, IProgress<TrainingMetrics>? progress, int totalSteps,
    ILogger logger, CancellationToken cancellationToken)
{
    /// <summary>Whether the step that was reported last is to be the run's last
    /// (<see cref="TrainingOptions.StopWhen"/>).</summary>
    public bool Stops { get; private set; }

    /// <summary>Whether a step is followed by more than its report, for which its weights must be known to be good.</summary>
    public bool IsFollowed(RunPosition at) => at.Step == totalSteps || IsEvaluated(at) || run.IsDue(at);

    /// <summary>Evaluates and reports the model before the first step, where that is asked for.</summary>
    public void ReportStart()
    {
        if (!measurement.Options.EvaluateFirst || !heldOut.Any)
            return;
        var clock = Stopwatch.StartNew();
        Guard(new RunPosition(), () => Report(new TrainingMetrics(0, totalSteps, Evaluate(0), clock.Elapsed)));
    }

    /// <summary>Writes the checkpoint, evaluates and reports after a step.</summary>
    /// <param name="at">The position after it, with what it measured and took.</param>
    /// <param name="pace">How fast the run goes by then; null where nobody took the time.</param>
    /// <returns>The position when all is done.</returns>
    public RunPosition Finish(RunPosition at, Func<TrainingPace>? pace)
    {
        run.Secure(at);
        var clock = Stopwatch.StartNew();
        var values = new Dictionary<string, double>(at.Unreported!.Values);
        Guard(at, () =>
        {
            if (IsEvaluated(at))
            {
                foreach (var (name, value) in Evaluate(at.Step))
                    values[name] = value;
            }
            var elapsed = TimeSpan.FromSeconds(at.Unreported.Seconds) + clock.Elapsed;
            Report(new TrainingMetrics(at.Step, totalSteps, values, elapsed) { Pace = pace?.Invoke() });
        });
        return run.After(at with { Unreported = null }, values);
    }

    private bool IsEvaluated(RunPosition at) =>
        heldOut.Any && (at.Step == totalSteps || at.Step % (measurement.Options.EvaluateEvery ?? totalSteps) == 0);

    private Dictionary<string, double> Evaluate(int step) => heldOut.Evaluate(measurement, step, logger, cancellationToken);

    private void Report(TrainingMetrics metrics)
    {
        progress?.Report(metrics);
        Stops = measurement.Options.StopWhen?.Invoke(metrics) == true;
    }

    /// <summary>Saves the run where something fails or is cancelled, however far it is from the next checkpoint.</summary>
    private void Guard(RunPosition at, Action report)
    {
        try
        {
            report();
        }
        catch (OperationCanceledException e) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException(run.Leave(at), e, cancellationToken);
        }
        catch
        {
            run.Rescue(at);
            throw;
        }
    }
}
