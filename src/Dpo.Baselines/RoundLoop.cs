using System.Diagnostics;
using Dpo.Training;
using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;

namespace Dpo.Baselines;

/// <summary>What a round measured.</summary>
/// <param name="Values">Metrics by name.</param>
/// <param name="Completions">Completions that were sampled.</param>
/// <param name="Tokens">Tokens of them and their prompts.</param>
internal sealed record RoundResult(IReadOnlyDictionary<string, double> Values, long Completions, long Tokens);

/// <summary>Rounds of sampling and training: each is made, saved where that is due, and reported. A round that did not come to
/// its end is made again from its beginning: all that it draws follows from its number.</summary>
internal sealed class RoundLoop(CheckpointPlan plan, TrainedState state, ILogger logger)
{
    /// <summary>Makes the rounds that are left.</summary>
    /// <param name="make">Makes one, given its number from 0.</param>
    /// <param name="progress">Is told of each, on this thread.</param>
    /// <param name="cancellationToken">Ends the run between two rounds, or where the round itself looks at it, which is before it
    /// changes anything.</param>
    public void Run(
        Func<int, RoundResult> make, IProgress<TrainingMetrics>? progress, CancellationToken cancellationToken)
    {
        using var run = new CheckpointedRun(plan, state, logger);
        var at = run.Position;
        if (at.Unreported is not null)
            at = Report(run, at, progress);
        while (at.Step < plan.TotalSteps)
        {
            var clock = Stopwatch.StartNew();
            RoundResult made;
            try
            {
                cancellationToken.ThrowIfCancellationRequested();
                made = make(at.Step);
            }
            catch (OperationCanceledException e) when (cancellationToken.IsCancellationRequested)
            {
                throw new OperationCanceledException(run.Leave(at), e, cancellationToken);
            }
            at = at with
            {
                Step = at.Step + 1,
                Examples = at.Examples + made.Completions,
                Tokens = at.Tokens + made.Tokens,
                Unreported = new UnreportedStep(made.Values, clock.Elapsed.TotalSeconds),
            };
            run.Secure(at);
            at = Report(run, at, progress);
        }
        run.LoadBest(at);
    }

    private RunPosition Report(CheckpointedRun run, RunPosition at, IProgress<TrainingMetrics>? progress)
    {
        var step = at.Unreported!;
        try
        {
            progress?.Report(new TrainingMetrics(at.Step, plan.TotalSteps, step.Values, TimeSpan.FromSeconds(step.Seconds)));
        }
        catch
        {
            run.Rescue(at);
            throw;
        }
        return run.After(at with { Unreported = null }, step.Values);
    }
}
