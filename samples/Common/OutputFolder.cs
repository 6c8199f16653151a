using Dpo.Evaluation.Reporting;
using Dpo.Files;

namespace Dpo.Samples;

/// <summary>The folder that a program writes to, and what of it belongs to an earlier run.</summary>
internal static class OutputFolder
{
    /// <summary>Where fine-tuning's own files go.</summary>
    public const string FineTuning = "sft";

    /// <summary>Where the reward model goes.</summary>
    public const string Reward = "reward";

    /// <summary>Where PPO's own files go.</summary>
    public const string Ppo = "ppo";

    private static readonly string[] laterStages = [Reward, Ppo];

    private static readonly string[] scoreFiles = ["rewards.csv", "scored-pairs.jsonl"];

    private static readonly string[] reportFiles =
        ["summary.json", "frontier.jsonl", "disputed.jsonl", "run.json", "report.html", .. scoreFiles];

    private static readonly string[] runFiles =
    [
        "metrics.jsonl", "timing.jsonl", "metrics.csv", "samples.jsonl", "events.out.tfevents.*", "preferences.tokens",
        "points.jsonl", "finished.json", "plan.json", RunReport.WinRatesName, .. reportFiles,
    ];

    private static readonly string[] modelFiles =
    [
        "config.json", "generation_config.json", "model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json",
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
        "tokenizer.model", "chat_template.jinja", "chat_template.json",
    ];

    private static readonly string[] folders =
        [Interruption.CheckpointFolder, "report-figures", "adapter", "additional_chat_templates"];

    /// <summary>Runs a program that alone writes to a folder, where that holds no other run.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="model">The model folder that is trained, which may not be replaced; null for one made anew.</param>
    /// <param name="interruption">What to do about an earlier run.</param>
    /// <param name="program">The program.</param>
    public static void Hold(string folder, string? model, Interruption interruption, Action program)
    {
        RequireFree(folder, model, interruption);
        Hold(folder, program);
    }

    /// <summary>Refuses a folder that holds a run which is neither replaced nor gone on with.</summary>
    public static void RequireFree(string folder, string? model, Interruption interruption)
    {
        foreach (var stage in (string[])
            [folder, .. laterStages.Prepend(FineTuning).Select(stage => Path.Combine(folder, stage))])
            RequireFree(folder, stage, model, interruption);
    }

    /// <summary>Runs a program that alone writes to a folder. One that failed before it wrote anything leaves no folder
    /// behind.</summary>
    public static void Hold(string folder, Action program)
    {
        var isNew = !Directory.Exists(folder);
        try
        {
            using var claim = new FolderLock(folder);
            program();
            try
            {
                claim.RequireHeld();
            }
            catch (IOException e)
            {
                throw new RunFailedException($"{e.Message} The model was saved there anew.", e);
            }
        }
        finally
        {
            if (isNew && Directory.Exists(folder)
                && Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).All(IsLock))
                Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Refuses a folder for scores that holds a run, whose report they would replace, or earlier scores unless those
    /// are to be replaced.</summary>
    public static void RequireFreeForScores(string folder, bool overwrite)
    {
        var hasScores = Files(folder, scoreFiles).Any();
        if (!hasScores && Files(folder, [.. runFiles, .. modelFiles]).Any())
            throw new InvalidInputException($"--output {folder}: the folder holds a run or a model; give another one.");
        if (hasScores && !overwrite)
            throw new InvalidInputException(
                $"--output {folder}: the folder holds earlier scores; add --overwrite to replace them, or give another folder.");
    }

    /// <summary>Whether a path lies in a folder, or is it.</summary>
    public static bool IsBelow(string folder, string path) =>
        Path.GetRelativePath(folder, path) is var from && !from.StartsWith("..", StringComparison.Ordinal)
            && !Path.IsPathRooted(from);

    /// <summary>Deletes what an earlier run left in a folder, and in those of the stages that follow from it, and nothing else.
    /// Verdicts stay: they may have been paid for, and each is known by all that was asked.</summary>
    public static void Clear(string folder)
    {
        foreach (var stage in laterStages.Select(name => Path.Combine(folder, name)).Where(Directory.Exists))
            Clear(stage);
        foreach (var file in Files(folder, [.. runFiles, .. modelFiles]))
            File.Delete(file);
        foreach (var path in folders.Select(name => Path.Combine(folder, name)).Where(Directory.Exists))
            Directory.Delete(path, recursive: true);
    }

    /// <summary>Deletes what was made of a run once it had ended, before it goes on.</summary>
    public static void ClearReport(string folder)
    {
        foreach (var file in Files(folder, reportFiles))
            File.Delete(file);
    }

    private static void RequireFree(string output, string stage, string? model, Interruption interruption)
    {
        var isModels = model is not null
            && Path.TrimEndingDirectorySeparator(Path.GetFullPath(model))
                == Path.TrimEndingDirectorySeparator(Path.GetFullPath(stage));
        if (isModels && (interruption.Overwrite || !Files(stage, runFiles).Any()))
            throw new InvalidInputException(
                $"--output {output}: the model of --model lies in {stage}, and would be replaced; give another folder.");
        var hasCheckpoints = Interruption.HasCheckpoints(stage);
        var isFinished = Files(stage, modelFiles).Any();
        var hasFolders = folders.Any(name => Directory.Exists(Path.Combine(stage, name)));
        if (interruption.Overwrite || !(hasCheckpoints || isFinished || hasFolders || Files(stage, runFiles).Any()))
            return;
        if (!interruption.Resume)
            throw new InvalidInputException(
                $"--output {output}: {stage} holds an earlier run; " +
                (hasCheckpoints ? "add --resume to go on with it, " : "") +
                "add --overwrite to replace it, or give another folder.");
        // One that was interrupted before its first checkpoint begins anew.
        if (isFinished && !hasCheckpoints)
            throw new InvalidInputException(
                $"--output {output}: {stage} holds a run without checkpoints, which --resume cannot go on with; add " +
                "--overwrite in its place, or give another folder.");
    }

    private static IEnumerable<string> Files(string folder, string[] patterns) => !Directory.Exists(folder) ? []
        : patterns.SelectMany(pattern => Directory.EnumerateFiles(folder, pattern));

    private static bool IsLock(string path) =>
        Path.GetFileName(path) is ['.', ..] name && name.EndsWith(".lock", StringComparison.Ordinal);
}
