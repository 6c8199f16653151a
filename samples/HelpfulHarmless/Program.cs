// Direct Preference Optimization on dialogues, as the paper does on Anthropic's Helpful and Harmless data (section 6.2):
// fine-tune on the chosen answers, then train that model on the preferences, with itself as the reference. It ends in the paper's
// Figures 3 and 4: win rates over temperatures beside Preferred-FT and best-of-N, and over training.
using Dpo.Evaluation.Judging;
using Dpo.Evaluation.Reporting;
using Dpo.Samples;

double[] temperatures = [0, 0.25, 0.5, 0.7, 1], courseTemperatures = [0.7, 1];

var command = new TrainingCommand(
    "Trains a language model with DPO on preferences between answers in a dialogue, and measures how often its answers win.",
    defaultOutput: "artifacts/helpful-harmless",
    defaultBeta: 0.1,
    Truncation.PaperKeepPromptEnd,
    comparisons: ["best-of-n", "course"]);

return command.Run(args, (settings, cancellationToken) =>
{
    // The preferences: transcripts as Anthropic publishes them, or rows of prompt, chosen and rejected. Others are held out.
    var examples = Preferences.Read(settings.Train, "training", settings.Columns)
        ?? [.. DialogueCorpus.Generate(2000, settings.Seed)];
    var heldOutExamples = Preferences.Read(settings.Eval, "held-out", settings.Columns)
        ?? Preferences.Unseen(DialogueCorpus.Generate(2000, settings.Seed + 1), examples, settings);

    // The model and its tokenizer, and the preferences as token ids.
    var (model, tokenizer) = StartingPoint.Of(settings, examples);
    using var policy = model;
    var start = RunRecord.DigestOf(policy);
    if (settings.Lora is { } adapter)
        policy.AddLora(adapter);
    var data = Preferences.Tokenize(examples, tokenizer, settings, "training");
    settings = Rivals.Possible(settings, data);
    var heldOut = heldOutExamples is null ? null : Preferences.Tokenize(heldOutExamples, tokenizer, settings, "held-out");

    // What is to be answered, and who judges that.
    using var judge = SampleJudge.Of(
        settings, JudgePrompt.Helpfulness, settings.Train is null && settings.Eval is null ? DialogueCorpus.Facts : null);
    var dialogues = heldOutExamples is null ? null
        : PromptSet.Of("held-out dialogues", heldOutExamples, tokenizer, settings, judge);
    var (sets, leftOut) = PromptSet.Measured(settings, dialogues);
    var record = Reports.RecordOf(
        "HelpfulHarmless", settings, start, (data, examples), (heldOut, heldOutExamples), sets, leftOut);
    var winRates = new WinRates(settings, tokenizer, cancellationToken);
    winRates.Ask(sets);

    // The reference: the model fine-tuned on the chosen answers (the paper's Preferred-FT).
    if (!settings.SkipSft)
        Stages.FineTune(
            policy, tokenizer, data.ChosenOnly(), heldOut?.ChosenOnly(), settings.FineTuning, settings.Interruption,
            Path.Combine(settings.Output, OutputFolder.FineTuning), cancellationToken);

    // The policy: trained to prefer the chosen answers to the rejected ones, and measured on the way.
    using var pair = settings.Loss.UsesReference ? new PolicyReferencePair(policy) : null;
    var (pairs, heldOutPairs) = settings.UsesMismatches
        ? (data.WithMismatches(settings.MaxLength), heldOut?.WithMismatches(settings.MaxLength))
        : (data, heldOut);
    var course = sets.Count > 0 && settings.WinRates.Compare.Contains("course")
        ? winRates.Course(policy, sets[0], courseTemperatures)
        : null;
    var steps = Stages.Prefer(
        policy, pair, tokenizer, pairs, heldOutPairs, settings.Loss, settings.Training, settings.Interruption, settings.Output,
        fineTuned: !settings.SkipSft, cancellationToken, course);

    Reports.AfterTraining(() =>
    {
        if (sets.Count == 0)
            return;
        // How often answers win: of what the policy began as, of the policy, and the best of N.
        using var reference = StartingPoint.Reference(settings, examples);
        winRates.Measure("Preferred-FT", 0, reference, sets[0], temperatures);
        winRates.Measure(settings.Method, steps, policy, sets[0], temperatures);
        if (settings.WinRates.Compare.Contains("best-of-n"))
        {
            using var reward = Stages.LearnReward(
                reference, tokenizer, data, Rivals.Reward(settings), settings.Interruption,
                Path.Combine(settings.Output, OutputFolder.Reward), cancellationToken);
            winRates.MeasureBestOf(reference, reward, sets[0], [1, 4, 16, 64, 128], temperature: 0.7);
        }
        winRates.Finish();
    });
    record = DisputedLabels.Find(record, pair, data, tokenizer, settings, cancellationToken);
    Reports.Write(record, settings.Output);
});
