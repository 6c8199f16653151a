using Dpo.Baselines;
using Dpo.Samples;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What a method reached on held-out beginnings: the mean true reward of its completions, from 0 to 1, and its KL to the reference, in
/// nats a completion.</summary>
internal sealed record ReviewsRow(string Method, double Reward, double Kl);

/// <summary>
/// All methods from one fine-tuned model, as <c>samples/Imdb</c> makes it: a small GPT-2 of generated reviews, a classifier of sentiment as the
/// true reward, and 1,000 beginnings to learn from, with four completions of each.
/// </summary>
internal sealed class ReviewsRun : IDisposable
{
    private const int MaxNewTokens = 60, LongestPrefix = 8, PpoRounds = 40, Rollouts = 256;

    private readonly int seed;
    private readonly Review[] training, unseen;
    private readonly SentimentClassifier classifier;
    private readonly TransformerModel start;
    private readonly TextTokenizer tokenizer;
    private readonly IReadOnlyList<IReadOnlyList<int>> prompts, heldOut;
    private readonly FunctionReward truth;
    private readonly List<ReviewsRow> rows = [];

    public ReviewsRun(int seed)
    {
        this.seed = seed;
        var reviews = ReviewCorpus.Generate(4000, seed).ToArray();
        unseen = [.. reviews.Where((_, index) => index % 10 == 0)];
        training = [.. reviews.Where((_, index) => index % 10 != 0)];
        classifier = SentimentClassifier.Train(training);
        (start, tokenizer) = StartingPoint.Create(
            null, null, training.Select(review => review.Text), LongestPrefix + MaxNewTokens, "", seed, Precision.Float32, CPU);
        truth = new FunctionReward(answer => (float)(1 / (1 + Math.Exp(-classifier.LogOdds(answer.Prompt + answer.Text)))));
        (prompts, heldOut) = (Prefixes(training, 1000), Prefixes(unseen, 500));
    }

    public ReviewsRow[] Measure()
    {
        FineTune(start, Continuations(), AdamW with { LearningRate = 2e-3, Schedule = LearningRateSchedules.Cosine(10), Epochs = 6 });
        using var preferences = Preferences(prompts);
        Add("SFT", _ => { });
        Add("Preferred-FT", pair => FineTune((TransformerModel)pair.Policy, preferences.ChosenOnly(), AdamW with { LearningRate = 1e-4 }));
        Add("unlikelihood, α 0.1", pair => Prefer(pair, new UnlikelihoodLoss(0.1), preferences, 1e-5));
        foreach (var beta in (double[])[0.05, 0.1, 1])
            Add($"DPO, β {beta}", pair => Prefer(pair, new DpoLoss(beta), preferences, 1e-5));
        // As many completions as PPO has in 40 rounds; and PPO with about as few as DPO has above.
        using (var more = Preferences(Prefixes(training, Rollouts * PpoRounds / 4)))
            Add("DPO, β 0.3, 10,240 completions", pair => Prefer(pair, new DpoLoss(0.3), more, 1e-5));
        Add("rounds of DPO, β 0.1", Rounds);
        Add("PPO-GT, target 6", pair => Ppo(pair, truth, PpoRounds));
        Add("PPO-GT, 4,096 completions", pair => Ppo(pair, truth, rounds: 16));

        using var learned = new RewardModel(start.WithScalarHead(seed));
        using (var trainer = new RewardTrainer(learned, options: AdamW with { LearningRate = 2e-4, BatchSize = 64 }))
            trainer.Train(preferences);
        learned.Centre(preferences);
        Add("PPO, target 6", pair => Ppo(pair, learned, PpoRounds));
        Add("PPO, 4,096 completions", pair => Ppo(pair, learned, rounds: 16));
        AddBest(learned);
        return [.. rows];
    }

    public void Dispose() => start.Dispose();

    private static TrainingOptions AdamW => new()
    {
        Optimizer = OptimizerKind.AdamW,
        Schedule = LearningRateSchedules.Linear(10),
        MaxGradNorm = 1,
        WarnOfChosenFall = double.PositiveInfinity,
    };

    private SamplingOptions Sampling => new()
    {
        MaxNewTokens = MaxNewTokens,
        BatchSize = 256,
        EndOfTextIds = [tokenizer.EndOfTextId],
    };

    private static void FineTune(TransformerModel model, PreferenceData data, TrainingOptions options)
    {
        using var trainer = new SftTrainer(model, options);
        trainer.Train(data);
    }

    private void Prefer(PolicyReferencePair pair, IPreferenceLoss loss, PreferenceData data, double learningRate)
    {
        using var trainer = new DpoTrainer(pair, loss, new TrainingOptions
        {
            LearningRate = learningRate,
            Schedule = LearningRateSchedules.Paper(10),
            Seed = seed,
            WarnOfChosenFall = double.PositiveInfinity,
        });
        trainer.Train(data);
    }

    /// <summary>Four completions of each prompt by the reference, and all pairs of them.</summary>
    private PreferenceData Preferences(IReadOnlyList<IReadOnlyList<int>> prompts)
    {
        var scored = BestOfN.Sample(start, prompts, truth, Sampling with { SamplesPerPrompt = 4, Seed = seed }, tokenizer);
        return new(scored.Select((of, prompt) => PairMaking.AllPairs(new(
            prompt, prompts[prompt], [.. of.Select(one => one.Completion.Tokens)], [.. of.Select(one => one.Score)]))).OfType<TokenizedExample>());
    }

    private void Rounds(PolicyReferencePair pair)
    {
        using var trainer = new RoundsTrainer(pair, truth, new DpoLoss(0.1), new RoundsOptions
        {
            Rounds = 4,
            PromptsPerRound = 250,
            Sampling = Sampling with { SamplesPerPrompt = 4 },
            Seed = seed,
            Training = new TrainingOptions
            {
                LearningRate = 1e-5,
                Schedule = LearningRateSchedules.Paper(5),
                WarnOfChosenFall = double.PositiveInfinity,
            },
        }, tokenizer: tokenizer);
        trainer.Train(prompts);
    }

    private void Ppo(PolicyReferencePair pair, IReward reward, int rounds)
    {
        using var trainer = new PpoTrainer(pair, reward, PpoOptions.Paper with
        {
            Rounds = rounds,
            RolloutSize = Rollouts,
            MiniBatchSize = 64,
            LearningRate = 2e-4,
            KlCoefficient = 0.05,
            KlTarget = 6,
            KlHorizon = 2000,
            Sampling = Sampling,
            Seed = seed,
        }, tokenizer);
        trainer.Train(prompts);
    }

    private void Add(string method, Action<PolicyReferencePair> train)
    {
        // Each begins at the fine-tuned model, which it leaves as it is.
        var policy = StartingPoint.Create(
            null, null, training.Select(review => review.Text), LongestPrefix + MaxNewTokens, "", seed, Precision.Float32, CPU).Model;
        using (no_grad())
        {
            foreach (var (own, from) in policy.parameters().Zip(start.parameters()))
                own.copy_(from);
        }
        using var pair = new PolicyReferencePair(policy);
        train(pair);
        var scored = BestOfN.Sample(policy, heldOut, truth, Sampling with { Seed = 77 }, tokenizer);
        rows.Add(new(method, scored.Average(of => of[0].Score), Kl(pair, [.. scored.Select(of => of[0].Completion.Tokens)])));
        Console.Error.WriteLine($"{method}: reward {rows[^1].Reward:0.000}, KL {rows[^1].Kl:0.00}");
    }

    private void AddBest(IReward learned)
    {
        var samples = BestOfN.Sample(start, heldOut, truth, Sampling with { SamplesPerPrompt = 64, Seed = 77 }, tokenizer);
        double[][] proxy =
        [
            .. samples.Select((of, prompt) => learned.Score([.. of.Select(one => new Answer
            {
                PromptIds = heldOut[prompt], Ids = one.Completion.Tokens,
            })]).Select(score => (double)score).ToArray()),
        ];
        foreach (var n in (int[])[4, 16, 64])
            rows.Add(new(
                $"best of {n}", samples.Zip(proxy, (of, scores) => BestOfN.Expected(scores, [.. of.Select(one => (double)one.Score)], n)).Average(),
                BestOfN.KlBound(n)));
    }

    private static double Kl(PolicyReferencePair pair, IReadOnlyList<int>[] completions, IReadOnlyList<IReadOnlyList<int>> prompts)
    {
        using var data = new PreferenceData(prompts.Zip(completions, (prompt, completion) => new TokenizedExample(prompt, [completion], [])));
        double[] Sums(CausalLanguageModel model) => [.. Evaluator.LogProbs(model, data).Select(of => of[0].Sum(value => (double)value))];
        var own = Sums(pair.Policy);
        return own.Zip(pair.WithReference(Sums), (policy, reference) => policy - reference).Average();
    }

    private double Kl(PolicyReferencePair pair, IReadOnlyList<int>[] completions) => Kl(pair, completions, heldOut);

    private PreferenceData Continuations()
    {
        var random = new SeededRandom(seed);
        return new(training.Select(review => Split(review, random)).Where(split => split is not null).Select(split => new TokenizedExample(
            split!.Value.Prefix, [[.. split.Value.Following.Append(tokenizer.EndOfTextId).Take(MaxNewTokens)]], [])));
    }

    private IReadOnlyList<IReadOnlyList<int>> Prefixes(IReadOnlyList<Review> reviews, int count)
    {
        var random = new SeededRandom(~seed);
        return [.. Enumerable.Range(0, int.MaxValue).Select(index => Split(reviews[index % reviews.Count], random)?.Prefix)
            .OfType<IReadOnlyList<int>>().Take(count)];
    }

    private (IReadOnlyList<int> Prefix, IReadOnlyList<int> Following)? Split(Review review, SeededRandom random)
    {
        var ids = tokenizer.EncodePrompt(review.Text);
        var length = random.Next(2, LongestPrefix + 1);
        return ids.Count > LongestPrefix ? ([.. ids.Take(length)], [.. ids.Skip(length)]) : null;
    }
}
