using Dpo.Models;
using Dpo.Optimizers;
using static TorchSharp.torch;

namespace Dpo.Training.Checkpointing;

/// <summary>Finds and loads the checkpoints of a run (<see cref="CheckpointOptions.Folder"/>).</summary>
/// <example>
/// <code>
/// var options = new TrainingOptions
/// {
///     Checkpoints = new CheckpointOptions { Folder = "run/checkpoints", Every = 100 },
///     ResumeFrom = Checkpoints.Latest("run/checkpoints"), // null at the first start
/// };
/// </code>
/// </example>
public static class Checkpoints
{
    /// <summary>The newest checkpoint, every file of it checked.</summary>
    /// <param name="folder">The folder of a run's checkpoints; it may be missing.</param>
    /// <param name="orEarlier">Whether an earlier checkpoint will do where the newest is damaged. The steps between the two are
    /// then made anew.</param>
    /// <returns>Its path, for <c>TrainingOptions.ResumeFrom</c>; null where the folder holds no checkpoint.</returns>
    /// <exception cref="InvalidInputException">It is damaged, edited or foreign; the message says why, and names the newest one
    /// that is whole. Or none is.</exception>
    public static string? Latest(string folder, bool orEarlier = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        InvalidInputException? refusal = null;
        foreach (var (_, path) in CheckpointFolder.List(folder))
        {
            try
            {
                CheckpointFolder.Verify(path);
            }
            catch (InvalidInputException e)
            {
                refusal ??= e;
                continue;
            }
            return refusal is null || orEarlier
                ? path
                : throw new InvalidInputException(
                    $"{refusal.Message} The newest checkpoint that is whole is {path}; " +
                    "move the damaged ones away to resume from it.", refusal);
        }
        return refusal is null
            ? null
            : throw new InvalidInputException($"{refusal.Message} No checkpoint in {folder} is whole.", refusal);
    }

    /// <summary>The last step that a checkpoint's run had reported when it was written: a run that goes on from it reports the
    /// next one first. Files of metrics are told, so that they keep what they have up to that step.</summary>
    /// <param name="checkpoint">The checkpoint, such as <see cref="Latest"/> gives it; null for none.</param>
    /// <returns>The step; null for no checkpoint.</returns>
    /// <exception cref="InvalidInputException">It is damaged, or no checkpoint.</exception>
    public static int? LastReportedStep(string? checkpoint)
    {
        if (checkpoint is null)
            return null;
        var position = CheckpointState.Read(checkpoint).Position;
        return position.Unreported is null ? position.Step : position.Step - 1;
    }

    /// <summary>The checkpoint with the best value of <see cref="CheckpointOptions.KeepBest"/>, every file of it
    /// checked.</summary>
    /// <param name="folder">The folder of a run's checkpoints.</param>
    /// <returns>Its path: a model folder without tokenizer, or an adapter folder.</returns>
    /// <exception cref="InvalidInputException">The folder holds no checkpoint, or the run kept no best one, or a checkpoint is
    /// damaged.</exception>
    public static string Best(string folder)
    {
        var newest = Latest(folder) ?? throw new InvalidInputException($"{folder} holds no checkpoint.");
        var best = CheckpointState.Read(newest).Position.Best ?? throw new InvalidInputException(
            $"{folder} has no best checkpoint: the run was not asked to keep one, or has not been evaluated yet.");
        var path = CheckpointFolder.PathOf(folder, best.Step);
        CheckpointFolder.Verify(path);
        return path;
    }

    /// <summary>Gives a model the weights that it had at a checkpoint, without a trainer: to evaluate it, or to sample from
    /// it.</summary>
    /// <param name="model">The model, made as at the run's start: loaded from the same folder, with the same adapter and the same
    /// weights frozen.</param>
    /// <param name="checkpoint">The checkpoint, such as <see cref="Latest"/> or <see cref="Best"/> gives it; every file of it is
    /// checked.</param>
    /// <exception cref="InvalidInputException">It is damaged, no checkpoint, or another model's; what is trained may then be half
    /// replaced.</exception>
    public static void LoadInto(CausalLanguageModel model, string checkpoint)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        CheckpointFolder.Verify(checkpoint);
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        model.ReadTrained(checkpoint, new TrainedParameters(model).All);
    }
}
