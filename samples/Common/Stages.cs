using Dpo.Baselines;

namespace Dpo.Samples;

/// <summary>The stages of the paper's recipes. Each leaves its metrics, and the model as it then is, in a folder.</summary>
internal static class Stages
{
    /// <summary>Supervised fine-tuning on completions: what DPO starts from, and its reference.</summary>
    public static void FineTune(
        TransformerModel model, TextTokenizer tokenizer, PreferenceData data, PreferenceData? heldOut, TrainingOptions options,
        Interruption interruption, string folder, CancellationToken cancellationToken,
        IProgress<TrainingMetrics>? measurements = null)
    {
        options = interruption.Prepare(options, folder);
        using var trainer = new SftTrainer(model, options, logger: new TerminalLog());
        trainer.Check(data, heldOut);
        // What follows from another fine-tuning is no longer of this run.
        var output = Path.GetDirectoryName(Path.GetFullPath(folder))!;
        if (options.ResumeFrom is null)
            OutputFolder.Clear(output);
        Train(
            "SFT", trainer, data, heldOut, options, samples: null, measurements, () => Save(model, tokenizer, folder), folder,
            output, cancellationToken);
    }

    /// <summary>Direct Preference Optimization of <paramref name="policy"/>, which is the policy of the pair, or with another
    /// loss: one that does without a reference needs no pair.</summary>
    /// <param name="policy">The model to train.</param>
    /// <param name="pair">The policy with its reference; null where the loss needs none.</param>
    /// <param name="tokenizer">The policy's.</param>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">What to evaluate on; null for nothing.</param>
    /// <param name="loss">What to minimize.</param>
    /// <param name="options">How to train.</param>
    /// <param name="interruption">What to do about an earlier run.</param>
    /// <param name="folder">Where metrics and model go.</param>
    /// <param name="fineTuned">Whether this run has fine-tuned: what another left of that goes.</param>
    /// <param name="cancellationToken">Ends it between two steps.</param>
    /// <param name="measurements">Is told of every step too, and may look at the policy as it is then.</param>
    /// <returns>How many steps it made.</returns>
    public static int Prefer(
        TransformerModel policy, PolicyReferencePair? pair, TextTokenizer tokenizer, PreferenceData data, PreferenceData? heldOut,
        IPreferenceLoss loss, TrainingOptions options, Interruption interruption, string folder, bool fineTuned,
        CancellationToken cancellationToken, IProgress<TrainingMetrics>? measurements = null)
    {
        options = interruption.Prepare(options, folder);
        using var trainer = pair is null
            ? new DpoTrainer(policy, loss, options, logger: new TerminalLog())
            : new DpoTrainer(pair, loss, options, logger: new TerminalLog());
        trainer.Check(data, heldOut);
        if (!fineTuned && !interruption.Resume)
            OutputFolder.Clear(Path.Combine(folder, OutputFolder.FineTuning));
        var samples = heldOut is null ? null : Samples(policy, pair, tokenizer, heldOut);
        Train(
            "DPO", trainer, data, heldOut, options, samples, measurements, () => Save(policy, tokenizer, folder), folder, folder,
            cancellationToken);
        return trainer.StepsMade;
    }

    /// <summary>A reward model, which begins at a model and learns the preferences (Eq. 2); its rewards are 0 on
    /// average.</summary>
    /// <param name="start">Where it begins; it stays as it is.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="data">The preferences.</param>
    /// <param name="options">How to train.</param>
    /// <param name="interruption">What to do about an earlier run.</param>
    /// <param name="folder">Where metrics and model go.</param>
    /// <param name="cancellationToken">Ends it between two steps.</param>
    /// <returns>The reward model, to be disposed.</returns>
    public static RewardModel LearnReward(
        TransformerModel start, TextTokenizer tokenizer, PreferenceData data, TrainingOptions options, Interruption interruption,
        string folder, CancellationToken cancellationToken)
    {
        options = interruption.Prepare(options, folder);
        var reward = new RewardModel(start.WithScalarHead(options.Seed));
        try
        {
            using var trainer = new RewardTrainer(reward, options: options, logger: new TerminalLog());
            trainer.Check(data);
            Train(
                "reward model", trainer, data, heldOut: null, options, samples: null, measurements: null, Save, folder, folder,
                cancellationToken);
            return reward;
        }
        catch
        {
            reward.Dispose();
            throw;
        }

        void Save()
        {
            reward.Centre(data);
            reward.Save(folder);
            tokenizer.Save(folder);
            Terminal.Line($"The reward model and its metrics are in {folder}.");
        }
    }

    /// <summary>PPO of a pair's policy on a reward of its own completions, less their KL to the reference.</summary>
    /// <param name="pair">The policy, a <see cref="TransformerModel"/>, and its reference.</param>
    /// <param name="tokenizer">The policy's.</param>
    /// <param name="reward">What scores completions: learned, or the task's own.</param>
    /// <param name="prompts">What is completed, as ids.</param>
    /// <param name="options">How to train.</param>
    /// <param name="interruption">What to do about an earlier run.</param>
    /// <param name="folder">Where metrics and model go.</param>
    /// <param name="cancellationToken">Ends it between two rounds, or while it samples.</param>
    /// <param name="measurements">Is told of every round too, and may look at the policy as it is then.</param>
    public static void Ppo(
        PolicyReferencePair pair, TextTokenizer tokenizer, IReward reward, IReadOnlyList<IReadOnlyList<int>> prompts,
        PpoOptions options, Interruption interruption, string folder, CancellationToken cancellationToken,
        IProgress<TrainingMetrics>? measurements = null)
    {
        options = interruption.Prepare(options, folder);
        using var trainer = new PpoTrainer(pair, reward, options, tokenizer, logger: new TerminalLog());
        try
        {
            Follow(
                "PPO", options.ResumeFrom, samples: null, measurements, folder, folder,
                progress => trainer.Train(prompts, progress, cancellationToken), cancellationToken);
        }
        catch (OperationCanceledException e) when (options.Checkpoints is not null)
        {
            throw new OperationCanceledException($"{e.Message} Give the same command with --resume.", e, cancellationToken);
        }
        Finish(() => Save((TransformerModel)pair.Policy, tokenizer, folder), "");
    }

    /// <summary>Trains and saves the model. Whatever comes after its steps and fails, the model is saved as they left
    /// it.</summary>
    private static void Train(
        string title, Trainer trainer, PreferenceData data, PreferenceData? heldOut, TrainingOptions options,
        SampleComparison? samples, IProgress<TrainingMetrics>? measurements, Action save, string folder, string output,
        CancellationToken cancellationToken)
    {
        try
        {
            Follow(
                title, options.ResumeFrom, samples, measurements, folder, output,
                progress => trainer.Train(data, heldOut, progress, cancellationToken), cancellationToken);
        }
        catch (OperationCanceledException e) when (trainer.StepsMade > 0 && trainer.StepsMade == trainer.TotalSteps)
        {
            save();
            throw new OperationCanceledException(
                $"Stopped after the last step, {trainer.StepsMade}: the model is saved, but not all of what is measured of it.",
                e, cancellationToken);
        }
        catch (OperationCanceledException e) when (options.Checkpoints is not null)
        {
            throw new OperationCanceledException($"{e.Message} Give the same command with --resume.", e, cancellationToken);
        }
        catch (Exception e) when (trainer.StepsMade > 0 && e is not (OperationCanceledException or NotFiniteNumberException))
        {
            var failure = $"{title} failed after step {trainer.StepsMade} of {trainer.TotalSteps}: {e.Message}";
            Finish(save, failure + " ");
            throw new RunFailedException($"{failure} The model is saved as that step left it.", e);
        }
        Finish(save, "");
    }

    /// <summary>Has a run's steps shown and written to the files of its folder, from where it goes on.</summary>
    private static void Follow(
        string title, string? resumeFrom, SampleComparison? samples, IProgress<TrainingMetrics>? measurements, string folder,
        string output, Action<IProgress<TrainingMetrics>> train, CancellationToken cancellationToken)
    {
        if (resumeFrom is null)
            OutputFolder.Clear(folder);
        var lastStep = Checkpoints.LastReportedStep(resumeFrom);
        using var metrics = new MetricsFile(folder, lastStep);
        using var board = new TensorBoardFile(folder, lastStep);
        using var texts = samples is null ? null : new SamplesFile(folder, samples, lastStep, cancellationToken);
        // Once a step is made the report of an earlier end is out of date.
        var report = new Shown(_ => OutputFolder.ClearReport(output));
        IProgress<TrainingMetrics>?[] told = [report, metrics, board, texts, measurements];
        Terminal.Train(title, Progress.All([.. told.OfType<IProgress<TrainingMetrics>>()]), train);
    }

    private static void Finish(Action save, string before)
    {
        try
        {
            save();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RunFailedException($"{before}The model could not be saved: {e.Message}", e);
        }
    }

    /// <summary>Greedy continuations of the first few held-out prompts that leave room for them.</summary>
    private static SampleComparison Samples(
        TransformerModel policy, PolicyReferencePair? pair, TextTokenizer tokenizer, PreferenceData heldOut)
    {
        var options = new SamplingOptions { Temperature = 0, MaxNewTokens = Math.Min(64, policy.MaxPositions / 2) };
        var prompts = heldOut.Examples.Select(example => example.Prompt)
            .Where(prompt => prompt.Count + options.MaxNewTokens <= policy.MaxPositions);
        IReadOnlyList<int>[] some = [.. prompts.Take(4)];
        return pair is null
            ? new SampleComparison(policy, tokenizer, some, options)
            : new SampleComparison(pair, tokenizer, some, options);
    }

    private static void Save(TransformerModel model, TextTokenizer tokenizer, string folder)
    {
        model.Save(folder);
        tokenizer.Save(folder);
        Terminal.Line(
            $"The model{(File.Exists(Path.Combine(folder, "metrics.jsonl")) ? " and its metrics are" : " is")} in {folder}.");
        if (model.Lora is not null)
        {
            model.SaveAdapter(Path.Combine(folder, "adapter"));
            Terminal.Line($"Its adapter, which that model has merged in, is in {Path.Combine(folder, "adapter")} by itself.");
        }
    }
}
