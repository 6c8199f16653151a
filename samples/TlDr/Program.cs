// Direct Preference Optimization on summaries of Reddit posts, as the paper does on TL;DR (section 6.2): fine-tune on the
// chosen summaries, then train that model on the preferences, with itself as the reference, and with a β of 0.5. It ends in the
// paper's Figure 2 (right), win rates over temperatures beside PPO and best-of-N, and its Table 1, the same on news articles.
using Dpo.Evaluation.Judging;
using Dpo.Evaluation.Reporting;
using Dpo.Samples;

double[] temperatures = [0, 0.25, 0.5, 0.75, 1], newsTemperatures = [0, 0.25];

var command = new TrainingCommand(
    "Trains a language model with DPO on preferences between summaries of a post, and measures how often its summaries win.",
    defaultOutput: "artifacts/tldr",
    defaultBeta: 0.5,
    Truncation.PaperKeepPromptStart,
    comparisons: ["ppo", "best-of-n"],
    hasNews: true);

return command.Run(args, (settings, cancellationToken) =>
{
    // The preferences: comparisons as OpenAI publishes them, or rows of prompt, chosen and rejected. Others are held out.
    var examples = Preferences.Read(settings.Train, "training", settings.Columns)
        ?? [.. PostCorpus.Generate(2000, settings.Seed)];
    var heldOutExamples = Preferences.Read(settings.Eval, "held-out", settings.Columns)
        ?? Preferences.Unseen(PostCorpus.Generate(2000, settings.Seed + 1), examples, settings);

    // The model and its tokenizer, and the preferences as token ids.
    var (model, tokenizer) = StartingPoint.Of(settings, examples);
    using var policy = model;
    var start = RunRecord.DigestOf(policy);
    if (settings.Lora is { } adapter)
        policy.AddLora(adapter);
    var data = Preferences.Tokenize(examples, tokenizer, settings, "training");
    settings = Rivals.Possible(settings, data);
    var heldOut = heldOutExamples is null ? null : Preferences.Tokenize(heldOutExamples, tokenizer, settings, "held-out");

    // What is to be summarized, and who judges that.
    using var judge = SampleJudge.Of(
        settings, JudgePrompt.ConciseSummary, settings.Train is null && settings.Eval is null ? PostCorpus.Facts : null);
    using var newsJudge = SampleJudge.Of(
        settings, JudgePrompt.NewsSummary, settings.WinRates.News is null ? NewsCorpus.Facts : null);
    var posts = heldOutExamples is null ? null : PromptSet.Of("held-out posts", heldOutExamples, tokenizer, settings, judge);
    var news = settings.WinRates.News is { } file ? new PromptSet("news", NewsFile.Read(file, tokenizer, settings), newsJudge)
        : settings.Train is not null ? null
        : PromptSet.Of("news", NewsCorpus.Generate(400, settings.Seed), tokenizer, settings, newsJudge);
    var (sets, leftOut) = PromptSet.Measured(settings, posts, news);
    var record = Reports.RecordOf("TlDr", settings, start, (data, examples), (heldOut, heldOutExamples), sets, leftOut);
    var winRates = new WinRates(settings, tokenizer, cancellationToken);
    winRates.Ask(sets);

    // The reference: the model fine-tuned on the chosen summaries (the paper's Preferred-FT).
    if (!settings.SkipSft)
        Stages.FineTune(
            policy, tokenizer, data.ChosenOnly(), heldOut?.ChosenOnly(), settings.FineTuning, settings.Interruption,
            Path.Combine(settings.Output, OutputFolder.FineTuning), cancellationToken);

    // The policy: trained to prefer the chosen summaries to the rejected ones.
    using var pair = settings.Loss.UsesReference ? new PolicyReferencePair(policy) : null;
    var (pairs, heldOutPairs) = settings.UsesMismatches
        ? (data.WithMismatches(settings.MaxLength), heldOut?.WithMismatches(settings.MaxLength))
        : (data, heldOut);
    var steps = Stages.Prefer(
        policy, pair, tokenizer, pairs, heldOutPairs, settings.Loss, settings.Training, settings.Interruption, settings.Output,
        fineTuned: !settings.SkipSft, cancellationToken);

    Reports.AfterTraining(() =>
    {
        if (sets.Count == 0)
            return;
        // How often summaries win: of the policy, of what it began as, and of the paper's other methods.
        using var reference = StartingPoint.Reference(settings, examples);
        Measure("SFT", 0, reference);
        Measure(settings.Method, steps, policy);
        if (settings.WinRates.Compare.Count > 0)
        {
            using var reward = Stages.LearnReward(
                reference, tokenizer, data, Rivals.Reward(settings), settings.Interruption,
                Path.Combine(settings.Output, OutputFolder.Reward), cancellationToken);
            if (settings.WinRates.Compare.Contains("best-of-n"))
                winRates.MeasureBestOf(reference, reward, sets[0], [1, 4, 16], temperature: 0.7);
            if (settings.WinRates.Compare.Contains("ppo"))
            {
                using var trained = new PolicyReferencePair(StartingPoint.Reference(settings, examples));
                var options = Rivals.Ppo(settings, data);
                Stages.Ppo(
                    trained, tokenizer, reward, Rivals.Prompts(data, settings), options, settings.Interruption,
                    Path.Combine(settings.Output, OutputFolder.Ppo), cancellationToken);
                Measure("PPO", options.Rounds, (TransformerModel)trained.Policy);
            }
        }
        winRates.Finish();

        void Measure(string method, int step, TransformerModel of)
        {
            foreach (var set in sets)
                winRates.Measure(method, step, of, set, set == news ? newsTemperatures : temperatures);
        }
    });
    record = DisputedLabels.Find(record, pair, data, tokenizer, settings, cancellationToken);
    Reports.Write(record, settings.Output);
});
