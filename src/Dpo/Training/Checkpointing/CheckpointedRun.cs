using Dpo.Files;
using Microsoft.Extensions.Logging;

namespace Dpo.Training.Checkpointing;

/// <summary>What a training loop needs of checkpoints: where to go on, when to save, what to keep. Where none is to be written or
/// gone on from it does nothing.</summary>
internal sealed class CheckpointedRun : IDisposable
{
    private readonly CheckpointPlan plan;
    private readonly CheckpointOptions? options;
    private readonly TrainedState state;
    private readonly RunFacts? facts;
    private readonly ILogger logger;
    private readonly FolderLock? claim;
    private int savedStep;

    /// <summary>The position in the newest checkpoint of this folder, and the random generator's state in it.</summary>
    private (RunPosition Position, byte[] RandomState)? saved;

    /// <param name="plan">What the trainer says of the run.</param>
    /// <param name="state">What its steps change.</param>
    /// <param name="logger">Is told of checkpoints and of what changed.</param>
    public CheckpointedRun(CheckpointPlan plan, TrainedState state, ILogger logger)
    {
        (this.plan, options, this.state, this.logger) = (plan, plan.Options, state, logger);
        Position = new RunPosition();
        if (plan is { Options: null, ResumeFrom: null })
            return;
        state.RequireRestorable();
        facts = state.FactsWith(plan.Facts());
        if (options is not null)
            claim = new FolderLock(options.Folder, ".checkpoints.lock");
        try
        {
            Position = Begin();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where the run goes on: at its beginning, or where its checkpoint was written.</summary>
    public RunPosition Position { get; }

    /// <summary>The newest checkpoint that was written or resumed from, or null.</summary>
    public string? LastGood { get; private set; }

    private RunPosition Begin()
    {
        var goesOn = false;
        if (options is not null)
        {
            CheckpointFolder.Clean(options.Folder);
            goesOn = plan.ResumeFrom is { } from && Path.GetDirectoryName(FullPath(from)) == FullPath(options.Folder);
            if (!goesOn && CheckpointFolder.List(options.Folder) is [var newest, ..])
                throw new InvalidInputException(
                    $"{options.Folder} holds checkpoints of another run, the newest {Path.GetFileName(newest.Path)}; " +
                    "resume from it, delete them, or give another folder.");
        }
        if (plan.ResumeFrom is not { } path)
            return new RunPosition();

        var read = CheckpointFolder.Verify(path);
        facts!.Compare(path, read.Facts, plan.AllowsChanges, logger);
        if (read.Position.Step > plan.TotalSteps)
            throw new InvalidInputException(
                $"{path} was written after step {read.Position.Step}, but the run is to have {plan.TotalSteps} steps; " +
                "give more steps.");
        state.Read(path, read.Files.Keys);
        state.DropoutDraws = read.DropoutDraws;
        savedStep = read.Position.Step;
        if (goesOn)
            saved = (read.Position, TrainedState.RandomState);
        LastGood = path;
        logger.LogInformation("Resumed from {Path}: {Step} of {Steps} steps are made.", path, savedStep, plan.TotalSteps);
        return read.Position with { Best = StillToBeat(read) };
    }

    private static string FullPath(string folder) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));

    /// <summary>The best step so far, if its value is still to be beaten: measured by the same metric on the same data, and still
    /// there.</summary>
    private BestSoFar? StillToBeat(CheckpointState read) =>
        read.Position.Best is { } best && options is { KeepBest: { } metric } && metric.Name == best.Metric
            && facts!.HaveHeldOutOf(read.Facts) && CheckpointFolder.List(options.Folder).Any(entry => entry.Step == best.Step)
                ? best
                : null;

    /// <summary>Whether a checkpoint is due after a step, whatever it measured.</summary>
    public bool IsDue(RunPosition position) => options is not null
        && (position.Step == plan.TotalSteps || (options.Every is { } every && position.Step % every == 0));

    /// <summary>Saves the run where a checkpoint is due.</summary>
    /// <param name="position">The position after a step that is not reported yet.</param>
    public void Secure(RunPosition position)
    {
        if (IsDue(position) && saved?.Position.Step != position.Step)
            Save(position);
    }

    /// <summary>Looks at what a step measured, and brings its checkpoint up to date, or saves one where the step is the
    /// best.</summary>
    /// <param name="position">The position after the step, whose metrics were reported.</param>
    /// <param name="values">What the step and its evaluation measured.</param>
    /// <returns>The position, with the best step so far.</returns>
    public RunPosition After(RunPosition position, IReadOnlyDictionary<string, double> values)
    {
        if (options is null)
            return position;
        var improves = options.KeepBest is { } metric && values.TryGetValue(metric.Name, out var value)
            && metric.Improves(value, position.Best?.Value);
        if (improves)
            position = position with { Best = new(options.KeepBest!.Name, values[options.KeepBest.Name], position.Step) };
        if (saved is { Position: { Unreported: not null, Step: var step } } && step == position.Step)
            MarkReported(position);
        else if (improves)
            Save(position);
        return position;
    }

    /// <summary>Saves a run that is cancelled, where it has checkpoints.</summary>
    /// <returns>What to tell the user.</returns>
    public string Leave(RunPosition position)
    {
        if (options is not null && position.Step > savedStep)
            Save(position);
        return options is not null && LastGood is not null
            ? $"Stopped after step {position.Step}; the run can be resumed from {LastGood}."
            : $"Stopped after step {position.Step}; the model in training was not saved.";
    }

    /// <summary>Gives the model the best step's weights, where that is asked for and another step was the last.</summary>
    public void LoadBest(RunPosition position)
    {
        if (options is not { LoadBest: true } || position.Best is not { } best || best.Step == position.Step)
            return;
        var path = CheckpointFolder.PathOf(options.Folder, best.Step);
        CheckpointFolder.Verify(path);
        state.ReadWeights(path);
        logger.LogInformation(
            "The model has the weights of step {Step}, whose {Metric} is the best: {Value}.", best.Step, best.Metric, best.Value);
    }

    /// <summary>Saves a run that ends by a failure which is on its way to the user, and is the one to be told.</summary>
    public void Rescue(RunPosition position)
    {
        if (options is null || position.Step <= savedStep)
            return;
        try
        {
            Save(position);
        }
        catch (Exception e) when (e is IOException or NotFiniteNumberException)
        {
            logger.LogError(e, "The run could not be saved after its failure.");
        }
    }

    /// <summary>Gives the folder up for other runs.</summary>
    public void Dispose() => claim?.Dispose();

    private void Save(RunPosition position)
    {
        state.RequireFinite($"The checkpoint of step {position.Step} was not written to {options!.Folder}");
        var written = new CheckpointState(
            CheckpointState.CurrentVersion, position, state.DropoutDraws, facts!.ByName(), new Dictionary<string, string>());
        Write(position, () => LastGood = CheckpointFolder.Write(options.Folder, written, state.Write));
        logger.LogInformation("Saved {Path}.", LastGood);
    }

    /// <summary>Marks a step's checkpoint as reported. Where reporting drew random numbers the whole checkpoint is written again,
    /// so that a resumed run does not draw them a second time.</summary>
    private void MarkReported(RunPosition position)
    {
        if (!TrainedState.RandomState.AsSpan().SequenceEqual(saved!.Value.RandomState))
            Save(position);
        else
            Write(position, () =>
            {
                var checkpoint = CheckpointFolder.PathOf(options!.Folder, position.Step);
                (CheckpointState.Read(checkpoint) with { Position = position, DropoutDraws = state.DropoutDraws })
                    .Write(checkpoint);
            });
    }

    private void Write(RunPosition position, Action write)
    {
        claim!.RequireHeld();
        try
        {
            write();
            (savedStep, saved) = (position.Step, (position, TrainedState.RandomState));
            // A step is kept until the next one is reported: what is not reported yet may still have to be made anew.
            if (position.Unreported is null)
                Prune(position);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var kept = LastGood is null
                ? "There is none before it."
                : $"The last good one, {LastGood}, is untouched; make room and resume from it.";
            throw new IOException(
                $"The checkpoint of step {position.Step} could not be written to {options!.Folder}: {e.Message} {kept}", e);
        }
    }

    /// <summary>Deletes what is not to be kept. Later steps belong to a continuation that this run gave up
    /// by resuming from an earlier checkpoint.</summary>
    private void Prune(RunPosition position)
    {
        var all = CheckpointFolder.List(options!.Folder);
        var kept = all.Where(entry => entry.Step <= position.Step).Take(options.KeepLast).Select(entry => entry.Step)
            .Append(position.Best?.Step ?? position.Step)
            .ToHashSet();
        foreach (var (step, path) in all)
        {
            if (!kept.Contains(step))
                CheckpointFolder.Delete(options.Folder, path);
        }
    }
}
