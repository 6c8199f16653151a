using System.CommandLine;

namespace Dpo.Samples;

/// <summary>How a program gets over an interruption.</summary>
/// <param name="CheckpointEvery">Steps from one checkpoint to the next; null for no checkpoints.</param>
/// <param name="Resume">Whether to go on where the program was interrupted.</param>
internal sealed record Interruption(int? CheckpointEvery, bool Resume)
{
    /// <summary>A stage's options with its checkpoints, and with the one to go on from. A stage that was finished has one after its
    /// last step: it makes no step more, and hands on the model that it had.</summary>
    public TrainingOptions Prepare(TrainingOptions options, string folder)
    {
        if (CheckpointEvery is null)
            return options;
        var checkpoints = new CheckpointOptions { Folder = Path.Combine(folder, "checkpoints"), Every = CheckpointEvery };
        var from = Resume ? Checkpoints.Latest(checkpoints.Folder) : null;
        if (from is not null)
            Terminal.Line($"Going on from {from}.");
        return options with { Checkpoints = checkpoints, ResumeFrom = from };
    }
}

/// <summary>The options of a command line that ask for an <see cref="Interruption"/>.</summary>
internal sealed class InterruptionOptions
{
    private readonly Option<int?> checkpointEvery = CliOption.Whole("--checkpoint-every", "Steps from one checkpoint to the next; also saves where the program is stopped.");
    private readonly Option<bool> resume = new("--resume") { Description = "Go on where the same command was interrupted." };

    public InterruptionOptions(RootCommand command)
    {
        command.Options.Add(checkpointEvery);
        command.Options.Add(resume);
    }

    public Interruption Parse(ParseResult parsed) => parsed.GetValue(checkpointEvery) is null && parsed.GetValue(resume)
        ? throw new InvalidInputException("--resume goes with --checkpoint-every: give the command that was interrupted, and add --resume.")
        : new Interruption(parsed.GetValue(checkpointEvery), parsed.GetValue(resume));
}
