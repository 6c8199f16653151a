namespace Dpo.Samples;

/// <summary>The two stages of the paper's recipe. Each leaves its metrics, and the model as it then is, in a folder.</summary>
internal static class Stages
{
    /// <summary>Supervised fine-tuning on completions: what DPO starts from, and its reference.</summary>
    public static void FineTune(
        Transformer model, TextTokenizer tokenizer, PreferenceData data, PreferenceData? heldOut, TrainingOptions options, Interruption interruption, string folder, CancellationToken cancellation)
    {
        options = interruption.Prepare(options, folder);
        using var trainer = new SftTrainer(model, options);
        using var metrics = new MetricsFile(folder, options.ResumeFrom);
        using var table = new MetricsTable(folder, options.ResumeFrom);
        using var board = new TensorBoardFile(folder, options.ResumeFrom);
        Terminal.Train("SFT", Progress.All<TrainingMetrics>(metrics, table, board), progress => trainer.Train(data, heldOut, progress, cancellation));
        Save(model, tokenizer, folder);
    }

    /// <summary>Direct Preference Optimization of <paramref name="policy"/>, which is the policy of the pair, or with another
    /// loss.</summary>
    public static void Prefer(
        Transformer policy, PolicyReferencePair pair, TextTokenizer tokenizer, PreferenceData data, PreferenceData? heldOut, IPreferenceLoss loss, TrainingOptions options, Interruption interruption, string folder, CancellationToken cancellation)
    {
        options = interruption.Prepare(options, folder);
        using var trainer = new DpoTrainer(pair, loss, options);
        using var metrics = new MetricsFile(folder, options.ResumeFrom);
        using var table = new MetricsTable(folder, options.ResumeFrom);
        using var board = new TensorBoardFile(folder, options.ResumeFrom);
        using var samples = heldOut is null ? null : new SamplesFile(folder, Samples(policy, pair, tokenizer, heldOut), options.ResumeFrom);
        Terminal.Train("DPO", Progress.All<TrainingMetrics>([metrics, table, board, .. samples is null ? [] : (SamplesFile[])[samples]]), progress => trainer.Train(data, heldOut, progress, cancellation));
        Save(policy, tokenizer, folder);
    }

    /// <summary>Greedy continuations of the first few held-out prompts that leave room for them.</summary>
    private static SampleComparison Samples(Transformer policy, PolicyReferencePair pair, TextTokenizer tokenizer, PreferenceData heldOut)
    {
        var options = new SamplingOptions { Temperature = 0, MaxNewTokens = Math.Min(64, policy.MaxPositions / 2) };
        var prompts = heldOut.Examples.Select(example => example.Prompt).Where(prompt => prompt.Count + options.MaxNewTokens <= policy.MaxPositions);
        return new SampleComparison(pair, tokenizer, [.. prompts.Take(4)], options);
    }

    private static void Save(Transformer model, TextTokenizer tokenizer, string folder)
    {
        model.Save(folder);
        tokenizer.Save(folder);
        Terminal.Line($"The model and its metrics are in {folder}.");
        if (model.Lora is not null)
        {
            model.SaveAdapter(Path.Combine(folder, "adapter"));
            Terminal.Line($"Its adapter, which that model has merged in, is in {Path.Combine(folder, "adapter")} by itself.");
        }
    }
}
