using Dpo.Baselines;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;

namespace Dpo.Samples;

/// <summary>The parts of the plan under one seed, each of which is done in a process of its own and leaves a folder: what every
/// run begins with, the learned reward, and the runs.</summary>
/// <param name="settings">What was asked for.</param>
/// <param name="cancellationToken">Ends a part between two steps.</param>
internal sealed class Parts(ImdbSettings settings, CancellationToken cancellationToken)
{
    /// <summary>Fine-tuning and the preferences, which all others begin with.</summary>
    public const string Start = "sft";

    /// <summary>The reward that is learned from the preferences.</summary>
    public const string LearnedReward = "reward-model";

    /// <summary>What a part that ended well is known by.</summary>
    public const string EndName = "finished.json";

    /// <summary>What a part had reached at the steps at which it was measured.</summary>
    public const string PointsName = "points.jsonl";

    private const string PreferencesName = "preferences.tokens";

    /// <summary>Does one.</summary>
    /// <param name="part">Its name.</param>
    public void Do(string part)
    {
        var folder = settings.FolderOf(part);
        OutputFolder.Hold(folder, () =>
        {
            using var task = new SentimentTask(settings);
            if (part == Start)
                FineTune(task, folder);
            else if (part == LearnedReward)
                LearnReward(folder);
            else if (MethodRun.Parse(part) is { Method: Method.BestOfN } best)
                TakeBest(task, best, folder);
            else
                Train(task, MethodRun.Parse(part), folder);
        });
    }

    /// <summary>A model of reviews: fine-tuned to continue a review from its first 2 to 8 tokens. And of its own continuations,
    /// four of every prefix, all six pairs, the better rewarded one chosen.</summary>
    private void FineTune(SentimentTask task, string folder)
    {
        var (model, tokenizer) = StartingPoint.Create(
            settings.Model, settings.Bos, task.Training.Select(review => review.Text), settings.MaxLength, "--max-new-tokens",
            settings.Seed, settings.Precision, settings.Device);
        using var policy = model;
        if (tokenizer.BeginningIds.Count > 0)
            Terminal.Line($"Every prefix begins with {tokenizer.Decode(tokenizer.BeginningIds)}.");
        using var continuations = new PreferenceData(Reviews.Continuations(task.Training, tokenizer, settings));
        Stages.FineTune(
            policy, tokenizer, continuations, heldOut: null, settings.Sft, settings.Interruption, folder, cancellationToken);

        var scorer = new Scorer(task.Reward, tokenizer);
        var prefixes = task.Prefixes(tokenizer);
        var samples = Sampling.Continue(policy, tokenizer, prefixes, settings, cancellationToken);
        using var preferences = new PreferenceData(scorer.Rank(prefixes, samples));
        Terminal.Line(
            $"{preferences.Examples.Count} prefixes with {preferences.Examples.Sum(example => example.Pairs.Count)} pairs.");
        PreferenceData.Write(Path.Combine(folder, PreferencesName), preferences.Examples);

        using var pair = new PolicyReferencePair(policy);
        Measurements(pair, task, tokenizer, folder, Start, "fine-tuned").Measure(step: 0);
        End(folder, new() { ["preferences"] = RunRecord.DigestOf(preferences), ["fine-tuned"] = RunRecord.DigestOf(policy) });
    }

    private void LearnReward(string folder)
    {
        var (model, tokenizer) = Begin();
        using (model)
        {
            using var preferences = Preferences();
            using var reward = Stages.LearnReward(
                model, tokenizer, preferences, settings.Reward, settings.Interruption, folder, cancellationToken);
            End(folder, new() { ["reward model"] = RunRecord.DigestOf(reward.Model) });
        }
    }

    /// <summary>A run of a method, which begins at the fine-tuned model and has it for its reference.</summary>
    private void Train(SentimentTask task, MethodRun run, string folder)
    {
        var (policy, tokenizer) = Begin();
        using var held = policy;
        using var pair = new PolicyReferencePair(policy);
        using var preferences = Preferences();
        var measurements = Measurements(pair, task, tokenizer, folder, run.Name, run.MethodName);
        switch (run.Method)
        {
            case Method.Dpo:
                using (var loss = new DpoLoss(run.Number))
                    Prefer(loss);
                break;
            case Method.Unlikelihood:
                Prefer(new UnlikelihoodLoss(run.Number));
                break;
            case Method.PreferredFineTuning:
                using (var chosen = preferences.ChosenOnly())
                {
                    var order = settings.PreferredSft with { Seed = settings.Seed + (1000 * (int)run.Number) };
                    Stages.FineTune(
                        policy, tokenizer, chosen, heldOut: null, order, settings.Interruption, folder, cancellationToken,
                        measurements);
                }
                break;
            case Method.Ppo:
                using (var reward = RewardModel.Load(settings.FolderOf(LearnedReward), settings.Device))
                    Ppo(reward);
                break;
            case Method.PpoOnTrueReward:
                Ppo(new Scorer(task.Reward, tokenizer));
                break;
        }
        End(folder, new() { ["policy"] = RunRecord.DigestOf(policy) });

        void Prefer(IPreferenceLoss loss) => Stages.Prefer(
            policy, pair, tokenizer, preferences, heldOut: null, loss, settings.Preferring, settings.Interruption, folder,
            fineTuned: false, cancellationToken, measurements);

        void Ppo(IReward reward) => Stages.Ppo(
            pair, tokenizer, reward, task.Prefixes(tokenizer), settings.Ppo with { KlTarget = run.Number },
            settings.Interruption, folder, cancellationToken, measurements);
    }

    /// <summary>The best of n continuations by the learned reward, for n from 2 in powers of 2: of one sampling, by what is
    /// expected of the best of any n.</summary>
    private void TakeBest(SentimentTask task, MethodRun run, string folder)
    {
        OutputFolder.Clear(folder);
        var (reference, tokenizer) = Begin();
        using var held = reference;
        using var learned = RewardModel.Load(settings.FolderOf(LearnedReward), settings.Device);
        var truth = new Scorer(task.Reward, tokenizer);
        var prefixes = task.HeldOutPrefixes(tokenizer);
        var scored = BestOfN.Sample(
            reference, prefixes, learned, Sampling.Of(settings) with { SamplesPerPrompt = settings.BestOf }, tokenizer,
            cancellationToken);
        double[][] worth =
        [
            .. scored.Select((of, prefix) => truth.Score([.. of.Select(one => new Answer
            {
                PromptIds = prefixes[prefix], Ids = one.Completion.Tokens,
            })]).Select(value => (double)value).ToArray()),
        ];
        var points = new List<FrontierPoint>();
        for (var n = 2; n <= settings.BestOf; n *= 2)
        {
            double[] expected =
                [.. scored.Zip(worth, (of, values) => BestOfN.Expected([.. of.Select(one => (double)one.Score)], values, n))];
            points.Add(new FrontierPoint
            {
                Run = $"best-of-{n}",
                Method = run.MethodName,
                Seed = settings.Seed,
                Step = 0,
                Reward = Estimate.OfMean(expected),
                Kl = Estimate.OfMean([.. expected.Select(_ => BestOfN.KlBound(n))]),
            });
        }
        FrontierFile.Write(Path.Combine(folder, PointsName), points);
        End(folder, []);
    }

    private (TransformerModel Model, TextTokenizer Tokenizer) Begin() => StartingPoint.GoOn(
        settings.FolderOf(Start), isMadeHere: settings.Model is null, settings.Bos, settings.Seed, settings.Precision,
        settings.Device);

    private PreferenceData Preferences() => PreferenceData.Open(Path.Combine(settings.FolderOf(Start), PreferencesName));

    private Measurements Measurements(
        PolicyReferencePair pair, SentimentTask task, TextTokenizer tokenizer, string folder, string run, string method) =>
        new(pair, task.HeldOutPrefixes(tokenizer), new Scorer(task.Reward, tokenizer), tokenizer, settings, cancellationToken)
        {
            Folder = folder,
            Run = run,
            Method = method,
        };

    private static void End(string folder, Dictionary<string, string> digests) =>
        JsonFile.Write(Path.Combine(folder, EndName), digests);
}
