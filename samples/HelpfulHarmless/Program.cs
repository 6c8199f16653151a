// Direct Preference Optimization on dialogues, as the paper does on Anthropic's Helpful and Harmless data (section 6.2):
// fine-tune on the chosen answers, then train that model on the preferences, with itself as the reference.
using Dpo.Evaluation.Reporting;
using Dpo.Samples;

var command = new TrainingCommand(
    "Trains a language model with DPO on preferences between answers in a dialogue.",
    defaultOutput: "artifacts/helpful-harmless",
    defaultBeta: 0.1,
    Truncation.PaperKeepPromptEnd);

return command.Run(args, (settings, cancellationToken) =>
{
    // The preferences: transcripts as Anthropic publishes them, or rows of prompt, chosen and rejected.
    var examples = Preferences.Read(settings.Train, "training", settings.Columns)
        ?? [.. DialogueCorpus.Generate(2000, settings.Seed)];
    var heldOutExamples = Preferences.Read(settings.Eval, "held-out", settings.Columns);

    // The model and its tokenizer, and the preferences as token ids.
    var (model, tokenizer) = StartingPoint.Create(
        settings.Model, settings.Bos, Preferences.Texts(examples), settings.MaxLength, "--max-length",
        settings.Seed, settings.Precision, settings.Device);
    using var policy = model;
    var start = RunRecord.DigestOf(policy);
    if (settings.Lora is { } adapter)
        policy.AddLora(adapter);
    var data = Preferences.Tokenize(examples, tokenizer, settings, "training");
    var heldOut = heldOutExamples is null ? null : Preferences.Tokenize(heldOutExamples, tokenizer, settings, "held-out");
    var record = Reports.RecordOf("HelpfulHarmless", settings, start, (data, examples), (heldOut, heldOutExamples));

    // The reference: the model fine-tuned on the chosen answers (the paper's Preferred-FT).
    if (!settings.SkipSft)
        Stages.FineTune(
            policy, tokenizer, data.ChosenOnly(), heldOut?.ChosenOnly(), settings.Training, settings.Interruption,
            Path.Combine(settings.Output, OutputFolder.FineTuning), cancellationToken);

    // The policy: trained to prefer the chosen answers to the rejected ones.
    using var pair = settings.Loss.UsesReference ? new PolicyReferencePair(policy) : null;
    if (settings.UsesMismatches)
        (data, heldOut) = (data.WithMismatches(settings.MaxLength), heldOut?.WithMismatches(settings.MaxLength));
    Stages.Prefer(
        policy, pair, tokenizer, data, heldOut, settings.Loss, settings.Training, settings.Interruption, settings.Output,
        fineTuned: !settings.SkipSft, cancellationToken);
    record = DisputedLabels.Find(record, pair, data, tokenizer, settings, cancellationToken);
    Reports.Write(record, settings.Output);
});
