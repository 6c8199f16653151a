// Controlled sentiment generation, the paper's first setting (section 6.1): a model of film reviews is trained to continue
// their beginnings favourably. A classifier of sentiment is the true reward, so that what DPO gains, and how far it moves
// from the reference for it, can be measured.
using System.Diagnostics;
using Dpo.Evaluation.Reporting;
using Dpo.Samples;

return new ImdbCommand().Run(args, (settings, cancellationToken) =>
{
    var clock = Stopwatch.StartNew();

    // Reviews with a label; every tenth is held out. The reward is a classifier's: the one that was named, or one trained on the
    // others.
    var reviews = Reviews.Read(settings);
    var unseen = reviews.Where((_, index) => index % 10 == 0).ToArray();
    var training = reviews.Where((_, index) => index % 10 != 0).ToArray();
    using var reward = new TrueReward(settings, training);

    // A model of reviews: fine-tuned to continue a review from its first 2 to 8 tokens.
    var (model, tokenizer) = StartingPoint.Create(
        settings.Model, settings.Bos, training.Select(review => review.Text), settings.MaxLength, "--max-new-tokens",
        settings.Seed, settings.Precision, settings.Device);
    using var policy = model;
    if (tokenizer.BeginningIds.Count > 0)
        Terminal.Line($"Every prefix begins with {tokenizer.Decode(tokenizer.BeginningIds)}.");
    var continuations = new PreferenceData(Reviews.Continuations(training, tokenizer, settings));
    Stages.FineTune(
        policy, tokenizer, continuations, heldOut: null, settings.Sft, settings.Interruption,
        Path.Combine(settings.Output, OutputFolder.FineTuning), cancellationToken);

    // Preferences: four continuations of every prefix, and all six pairs of them, the better rewarded one chosen.
    var scorer = new Scorer(reward, tokenizer);
    var prefixes = Reviews.Prefixes(training, tokenizer, settings.Prefixes, settings.Seed);
    var samples = Sampling.Continue(policy, tokenizer, prefixes, settings, cancellationToken, samples: 4);
    var preferences = new PreferenceData(scorer.Rank(prefixes, samples));
    Terminal.Line(
        $"{preferences.Examples.Count} prefixes with {preferences.Examples.Sum(example => example.Pairs.Count)} pairs.");

    var record = new RunRecord
    {
        Program = "Imdb",
        Options = settings.InWords(),
        Data = new Dictionary<string, string> { ["preferences"] = RunRecord.DigestOf(preferences) },
        Models = new Dictionary<string, string> { ["fine-tuned"] = RunRecord.DigestOf(policy) },
        LeftOut =
        [
            "Figure 2 of the paper, left, has 22 runs of five methods; here is one of DPO, and what it starts from. " +
            "tests/Dpo.Benchmarks -- reviews runs the other methods on the generated reviews.",
        ],
    };

    // DPO, and what it changed on prefixes of reviews that no part of the training has seen.
    var heldOutPrefixes = Reviews.Prefixes(unseen, tokenizer, settings.HeldOutPrefixes, settings.Seed);
    using var pair = new PolicyReferencePair(policy);
    var before = Evaluation.Measure(pair, heldOutPrefixes, scorer, tokenizer, settings, cancellationToken);
    using var loss = new DpoLoss(settings.Beta);
    var steps = Stages.Prefer(
        policy, pair, tokenizer, preferences, heldOut: null, loss, settings.Dpo, settings.Interruption, settings.Output,
        fineTuned: true, cancellationToken);
    Reports.AfterTraining(() =>
    {
        var after = Evaluation.Measure(pair, heldOutPrefixes, scorer, tokenizer, settings, cancellationToken);
        Evaluation.Show(before, after, scorer);
        Evaluation.Save(before, after, clock.Elapsed, settings);
        Evaluation.SaveForReport(before, after, steps, scorer, settings);
    });
    Reports.Write(record, settings.Output);
});
