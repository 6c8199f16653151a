using System.CommandLine;
using Dpo.Baselines;

namespace Dpo.Samples;

/// <summary>How a program gets over an interruption, and what it does about an earlier run in its folder.</summary>
/// <param name="CheckpointEvery">Steps from one checkpoint to the next; null for no checkpoints.</param>
/// <param name="Resume">Whether to go on where the program was interrupted.</param>
/// <param name="Overwrite">Whether to replace an earlier run.</param>
internal sealed record Interruption(int? CheckpointEvery, bool Resume, bool Overwrite)
{
    /// <summary>The folder of checkpoints in a stage's folder.</summary>
    public const string CheckpointFolder = "checkpoints";

    /// <summary>Whether a stage left a checkpoint to go on from.</summary>
    public static bool HasCheckpoints(string folder) =>
        Path.Combine(folder, CheckpointFolder) is var path && Directory.Exists(path)
            && Directory.EnumerateDirectories(path, "step-*").Any();

    /// <summary>A stage's options with its checkpoints, and with the one to go on from. A stage that was finished has one after
    /// its last step: it makes no step more, and hands on the model that it had.</summary>
    public TrainingOptions Prepare(TrainingOptions options, string folder) => CheckpointEvery is null
        ? options
        : options with { Checkpoints = CheckpointsOf(folder), ResumeFrom = From(folder) };

    /// <summary>The same of PPO, whose steps are rounds.</summary>
    public PpoOptions Prepare(PpoOptions options, string folder) => CheckpointEvery is null
        ? options
        : options with { Checkpoints = CheckpointsOf(folder), ResumeFrom = From(folder) };

    private CheckpointOptions CheckpointsOf(string folder) =>
        new() { Folder = Path.Combine(folder, CheckpointFolder), Every = CheckpointEvery };

    private string? From(string folder)
    {
        var from = Resume ? Checkpoints.Latest(CheckpointsOf(folder).Folder) : null;
        if (from is not null)
            Terminal.Line($"Going on from {from}.");
        return from;
    }
}

/// <summary>The options of a command line that ask for an <see cref="Interruption"/>.</summary>
internal sealed class InterruptionOptions
{
    private readonly Option<int?> checkpointEvery = CliOption.Whole(
        "--checkpoint-every", "Steps from one checkpoint to the next; also saves where the program is stopped.");
    private readonly Option<bool> resume = new("--resume") { Description = "Go on where the same command was interrupted." };
    private readonly Option<bool> overwrite = new("--overwrite")
    {
        Description = "Replace what an earlier run left in the output folder, once all input has been checked."
    };

    public InterruptionOptions(RootCommand command)
    {
        command.Options.Add(checkpointEvery);
        command.Options.Add(resume);
        command.Options.Add(overwrite);
    }

    public Interruption Parse(ParseResult parsed)
    {
        var result = new Interruption(parsed.GetValue(checkpointEvery), parsed.GetValue(resume), parsed.GetValue(overwrite));
        if (result is { CheckpointEvery: null, Resume: true })
            throw new InvalidInputException(
                "--resume goes with --checkpoint-every: give the command that was interrupted, and add --resume.");
        if (result is { Resume: true, Overwrite: true })
            throw new InvalidInputException(
                "--resume goes on with the earlier run and --overwrite replaces it; give one of them.");
        return result;
    }
}
