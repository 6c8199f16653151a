using Dpo.Batching;
using Dpo.Files;
using Microsoft.Extensions.Logging;

namespace Dpo.Training.Checkpointing;

/// <summary>What a training loop needs of checkpoints: where to go on, when to save, what to keep. Without
/// <see cref="TrainingOptions.Checkpoints"/> and <see cref="TrainingOptions.ResumeFrom"/> it does nothing.</summary>
internal sealed class CheckpointedRun : IDisposable
{
    private readonly TrainingOptions options;
    private readonly TrainedState state;
    private readonly IReadOnlyList<RunFact> facts = [];
    private readonly ILogger logger;
    private readonly FolderLock? claim;
    private readonly int totalSteps;
    private int savedStep;

    /// <summary>The position in the newest checkpoint of this folder, and the random generator's state in it.</summary>
    private (RunPosition Position, byte[] RandomState)? saved;

    /// <param name="options">The run's options.</param>
    /// <param name="state">What its steps change.</param>
    /// <param name="totalSteps">Steps of the whole run.</param>
    /// <param name="otherFacts">What it depends on besides its options.</param>
    /// <param name="logger">Is told of checkpoints and of what changed.</param>
    public CheckpointedRun(
        TrainingOptions options, TrainedState state, int totalSteps, Func<IEnumerable<RunFact>> otherFacts, ILogger logger)
    {
        (this.options, this.state, this.totalSteps, this.logger) = (options, state, totalSteps, logger);
        Position = new RunPosition();
        if (options is { Checkpoints: null, ResumeFrom: null })
            return;
        state.RequireRestorable();
        facts = [.. RunFacts.Of(options, totalSteps, totalSteps), .. RunFacts.Surroundings(), .. otherFacts()];
        if (options.Checkpoints is { } checkpoints)
        {
            claim = new FolderLock(checkpoints.Folder, ".checkpoints.lock");
        }
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
        if (options.Checkpoints is { } checkpoints)
        {
            CheckpointFolder.Clean(checkpoints.Folder);
            goesOn = options.ResumeFrom is { } from
                && Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(from))) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(checkpoints.Folder));
            if (!goesOn && CheckpointFolder.List(checkpoints.Folder) is [var newest, ..])
                throw new InvalidInputException(
                    $"{checkpoints.Folder} holds checkpoints of another run, the newest {Path.GetFileName(newest.Path)}; resume from it, delete them, or give another folder.");
        }
        if (options.ResumeFrom is not { } path)
            return new RunPosition();

        var read = CheckpointFolder.Verify(path);
        Compare(path, read);
        if (read.Position.Step > totalSteps)
            throw new InvalidInputException(
                $"{path} was written after step {read.Position.Step}, but the run is to have {totalSteps} steps; give more steps.");
        state.Read(path, read.Files.Keys);
        state.DropoutDraws = read.DropoutDraws;
        savedStep = read.Position.Step;
        if (goesOn)
            saved = (read.Position, TrainedState.RandomState);
        LastGood = path;
        logger.LogInformation("Resumed from {Path}: {Step} of {Steps} steps are made.", path, savedStep, totalSteps);
        return read.Position with { Best = Comparable(read) };
    }

    /// <summary>The best step so far, if its value is still to be beaten: measured by the same metric on the same data, and still
    /// there.</summary>
    private BestSoFar? Comparable(CheckpointState saved)
    {
        var sameData = facts.All(fact => !fact.Name.StartsWith(HeldOutSets.FactPrefix, StringComparison.Ordinal) || saved.Facts.GetValueOrDefault(fact.Name) == fact.Value);
        return sameData && saved.Position.Best is { } best && options.Checkpoints is { KeepBest: { } metric } checkpoints && metric.Name == best.Metric
            && CheckpointFolder.List(checkpoints.Folder).Any(entry => entry.Step == best.Step) ? best : null;
    }

    /// <summary>Lists what is another than when the checkpoint was written, and refuses what may not be.</summary>
    private void Compare(string path, CheckpointState saved)
    {
        if (options.Shuffle && saved.Facts.GetValueOrDefault(RunFacts.ShuffleName) is not (null or RunFacts.Unshuffled or ShuffledOrder.Name))
            throw new InvalidInputException(
                $"{path} was written by a version of Dpo that shuffled data into another order ({saved.Facts.GetValueOrDefault("Dpo")}); " +
                "finish the run with that version, or begin it anew.");
        // The schedule is compared over the steps that it was recorded for; that there are more or fewer is listed by itself.
        var oldSteps = saved.Facts.TryGetValue("Steps", out var text) && int.TryParse(text, out var steps) ? steps : totalSteps;
        var changed = RunFacts.Of(options, totalSteps, oldSteps).UnionBy(facts, fact => fact.Name)
            .Where(fact => saved.Facts.GetValueOrDefault(fact.Name) != fact.Value)
            .ToLookup(fact => fact.OnChange, fact => fact.Difference(saved.Facts.GetValueOrDefault(fact.Name)));
        string List(Change kind) => string.Join("; ", changed[kind]);
        if (changed[Change.Refused].Any())
            throw new InvalidInputException(
                $"{path} belongs to another run: {List(Change.Refused)}. Resume it with the model, the data and the batches that it was begun with.");
        if (changed[Change.Allowed].Any() && !options.ResumeWithChanges)
            throw new InvalidInputException(
                $"{path} was written under other options: {List(Change.Allowed)}. Give the same ones, or allow the run to go on with changed options.");
        if (changed[Change.Allowed].Any())
            logger.LogWarning("The run goes on with changed options: {Changes}.", List(Change.Allowed));
        if (changed[Change.Told].Any())
            logger.LogInformation("The run goes on with another length or other evaluations: {Changes}.", List(Change.Told));
        if (changed[Change.Warned].Any())
            logger.LogWarning("The run goes on elsewhere, so that results may differ in their last bits: {Changes}.", List(Change.Warned));
    }

    /// <summary>Whether a checkpoint is due after a step, whatever it measured.</summary>
    public bool IsDue(RunPosition position) => options.Checkpoints is { } checkpoints
        && (position.Step == totalSteps || (checkpoints.Every is { } every && position.Step % every == 0));

    /// <summary>Saves the run where a checkpoint is due.</summary>
    /// <param name="position">The position after a step that is not told yet.</param>
    public void Secure(RunPosition position)
    {
        if (IsDue(position) && saved?.Position.Step != position.Step)
            Save(options.Checkpoints!, position);
    }

    /// <summary>Looks at what a step measured, and brings its checkpoint up to date, or saves one where the step is the best.</summary>
    /// <param name="position">The position after the step, whose metrics were reported.</param>
    /// <param name="values">What the step and its evaluation measured.</param>
    /// <returns>The position, with the best step so far.</returns>
    public RunPosition After(RunPosition position, IReadOnlyDictionary<string, double> values)
    {
        if (options.Checkpoints is not { } checkpoints)
            return position;
        var improves = checkpoints.KeepBest is { } metric && values.TryGetValue(metric.Name, out var value) && metric.Improves(value, position.Best?.Value);
        if (improves)
            position = position with { Best = new BestSoFar(checkpoints.KeepBest!.Name, values[checkpoints.KeepBest.Name], position.Step) };
        if (saved is { Position: { Untold: not null, Step: var step } } && step == position.Step)
            SaveTold(checkpoints, position);
        else if (improves)
            Save(checkpoints, position);
        return position;
    }

    /// <summary>Saves a run that is cancelled, where it has checkpoints.</summary>
    /// <returns>What to tell the user.</returns>
    public string Leave(RunPosition position)
    {
        if (options.Checkpoints is { } checkpoints && position.Step > savedStep)
            Save(checkpoints, position);
        return options.Checkpoints is not null && LastGood is not null
            ? $"Stopped after step {position.Step}; the run can be resumed from {LastGood}."
            : $"Stopped after step {position.Step}; the model in training was not saved.";
    }

    /// <summary>Gives the model the best step's weights, where that is asked for and another step was the last.</summary>
    public void LoadBest(RunPosition position)
    {
        if (options.Checkpoints is not { LoadBest: true } checkpoints || position.Best is not { } best || best.Step == position.Step)
            return;
        var path = CheckpointFolder.PathOf(checkpoints.Folder, best.Step);
        CheckpointFolder.Verify(path);
        state.ReadWeights(path);
        logger.LogInformation("The model has the weights of step {Step}, whose {Metric} is the best: {Value}.", best.Step, best.Metric, best.Value);
    }

    /// <summary>Saves a run that ends by a failure which is on its way to the user, and is the one to be told.</summary>
    public void Rescue(RunPosition position)
    {
        if (options.Checkpoints is not { } checkpoints || position.Step <= savedStep)
            return;
        try
        {
            Save(checkpoints, position);
        }
        catch (Exception e) when (e is IOException or NotFiniteNumberException)
        {
            logger.LogError(e, "The run could not be saved after its failure.");
        }
    }

    /// <summary>Gives the folder up for other runs.</summary>
    public void Dispose() => claim?.Dispose();

    private void Save(CheckpointOptions checkpoints, RunPosition position)
    {
        state.RequireFinite($"The checkpoint of step {position.Step} was not written to {checkpoints.Folder}");
        var written = new CheckpointState(
            CheckpointState.CurrentVersion, position, state.DropoutDraws,
            facts.ToDictionary(fact => fact.Name, fact => fact.Value), new Dictionary<string, string>());
        Write(checkpoints, position, () => LastGood = CheckpointFolder.Write(checkpoints.Folder, written, state.Write));
        logger.LogInformation("Saved {Path}.", LastGood);
    }

    /// <summary>Has the checkpoint of a step say that all of it is told. Where a report drew random numbers it is written anew, since they
    /// would be drawn again otherwise.</summary>
    private void SaveTold(CheckpointOptions checkpoints, RunPosition position)
    {
        if (!TrainedState.RandomState.AsSpan().SequenceEqual(saved!.Value.RandomState))
            Save(checkpoints, position);
        else
            Write(checkpoints, position, () =>
            {
                var checkpoint = CheckpointFolder.PathOf(checkpoints.Folder, position.Step);
                (CheckpointState.Read(checkpoint) with { Position = position, DropoutDraws = state.DropoutDraws }).Write(checkpoint);
            });
    }

    private void Write(CheckpointOptions checkpoints, RunPosition position, Action write)
    {
        claim!.RequireHeld();
        try
        {
            write();
            (savedStep, saved) = (position.Step, (position, TrainedState.RandomState));
            // A step is kept until the next one is told: what is not told yet may still have to be made anew.
            if (position.Untold is null)
                Prune(checkpoints, position);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var kept = LastGood is null ? "There is none before it." : $"The last good one, {LastGood}, is untouched; make room and resume from it.";
            throw new IOException($"The checkpoint of step {position.Step} could not be written to {checkpoints.Folder}: {e.Message} {kept}", e);
        }
    }

    /// <summary>Deletes what is not to be kept. Steps after this one are of a course that the run was taken back from.</summary>
    private static void Prune(CheckpointOptions checkpoints, RunPosition position)
    {
        var all = CheckpointFolder.List(checkpoints.Folder);
        var kept = all.Where(entry => entry.Step <= position.Step).Take(checkpoints.KeepLast).Select(entry => entry.Step)
            .Append(position.Best?.Step ?? position.Step)
            .ToHashSet();
        foreach (var (step, path) in all)
        {
            if (!kept.Contains(step))
                CheckpointFolder.Delete(checkpoints.Folder, path);
        }
    }
}
