using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>XPO, Nash-MD and self-judging on answers of a token, where what they come to is known.</summary>
public sealed class OnlineLossesTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void XPO_is_DPO_and_the_reference_s_completions_likelihood()
    {
        const double alpha = 0.3, beta = 0.5;
        double[] own = [-1, -2.5, -0.3, -4], reference = [-1.5, -2, -1, -3];
        var examples = new PreferenceBatch(
        [
            new TokenizedExample([1], [[2], [3]], [new(1, 0)]) { Labels = [true, false] },
            new TokenizedExample([1], [[2], [3]], [new(0, 1)]) { Labels = [true, false] },
        ]);
        using var logProbs = tensor(own, float64).requires_grad_();
        var part = new PreferenceLogProbs(
            new(logProbs, [0, 1, 2, 3, 4]), new(tensor(reference, float64), [0, 1, 2, 3, 4]), examples.To(CPU).Preferences);
        var loss = new XpoLoss(alpha, beta);
        var share = loss.Share(part, examples.Counts);
        double[] ratios = [.. own.Zip(reference, (one, other) => one - other)];
        double[] margins = [ratios[1] - ratios[0], ratios[2] - ratios[3]];
        var expected = margins.Average(margin => Math.Log(1 + Math.Exp(-beta * margin))) + (alpha * (own[1] + own[3]) / 2);
        Assert.Equal(expected, share.ToDoubles()[0], 1e-12);
        share.backward();
        double Weight(int pair) => beta / 2 / (1 + Math.Exp(beta * margins[pair]));
        Numbers.AssertClose(
            [Weight(0), -Weight(0) + (alpha / 2), -Weight(1), Weight(1) + (alpha / 2)], logProbs.grad!.ToDoubles(), 1e-12);
        Assert.Equal("XpoLoss(Alpha=0.3, Beta=0.5)", loss.Description);

        var unlabelled = new PreferenceBatch([new TokenizedExample([1], [[2], [3]], [new(1, 0)])]);
        Assert.Contains(
            "sample by ReferenceSampler and make pairs by PairMaking.AcrossHalves",
            Assert.Throws<InvalidInputException>(() => loss.Share(part, unlabelled.Counts)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new XpoLoss(alpha: -1));
    }

    /// <summary>Two answers, of which the first is preferred with probability q, and a reference of a half each, β = 1: the gradient
    /// σ(θ) − q + α(½ − σ(θ)) is 0 at (q − α/2) / (1 − α). DPO comes to q; XPO goes beyond.</summary>
    [Theory]
    [InlineData(0, 0.7)]
    [InlineData(0.2, 0.75)]
    public void XPO_goes_beyond_what_is_preferred(double alpha, double expected)
    {
        using var pair = new PolicyReferencePair(Tabular.Policy(0, 0));
        using var data = new PreferenceData(
            from row in Enumerable.Range(0, 20)
            select new TokenizedExample(Tabular.Prompt, [[0], [1]], [row < 14 ? new(0, 1) : new(1, 0)])
            {
                Labels = [row % 2 == 0, row % 2 != 0],
            });
        using var trainer = new DpoTrainer(pair, new XpoLoss(alpha, beta: 1), new TrainingOptions
        {
            Optimizer = OptimizerKind.AdamW,
            LearningRate = 0.1,
            Schedule = LearningRateSchedules.Linear(0),
            BatchSize = 20,
            Steps = 300,
            MaxGradNorm = double.PositiveInfinity,
            WarnOfChosenFall = double.PositiveInfinity,
        });
        trainer.Train(data);
        Assert.Equal(expected, Tabular.Probabilities(pair.Policy, 2)[0], 1e-4);
    }

    [Fact]
    public void Halves_are_paired_and_the_other_model_s_labelled()
    {
        var sampled = new ScoredCompletions(0, [1], [[2], [3], [4], [5], [6], [7]], [1, 2, 3, 0, 4, 3]);
        var better = PairMaking.AcrossHalves(sampled)!;
        Assert.Equal([new(0, 3), new(4, 1)], better.Pairs);
        Assert.Equal([true, true, true, false, false, false], better.Labels);
        Assert.Equal(sampled.Scores, better.Scores);
        Assert.Null(PairMaking.AcrossHalves(sampled with { Scores = [1, 2, 3, 1, 2, 3] }));
        Assert.Equal([new(0, 3), new(1, 4), new(2, 5)], PairMaking.OwnAgainstOther(sampled)!.Pairs);
    }

    /// <summary>The equilibrium solves π ∝ π_ref · exp(P(y ≻ π^(1 − m) π_ref^m) / τ), which is found by going round it.</summary>
    [Fact]
    public void NashMD_comes_to_the_equilibrium()
    {
        const double tau = 0.15, share = 0.5;
        double[] worth = [1.5, 0, -1, 0.5], logits = [-0.5, 0.5, 0, 0.3];
        using var pair = new PolicyReferencePair(Tabular.Policy(logits));
        var reference = Tabular.Probabilities(pair.Policy, 4);
        var equilibrium = reference;
        for (var turn = 0; turn < 1000; turn++)
        {
            var mixture = Tabular.Normalized(
                equilibrium.Zip(reference, (own, other) => Math.Pow(own, 1 - share) * Math.Pow(other, share)));
            double Preferred(int token) => mixture.Index().Sum(of => of.Item / (1 + Math.Exp(worth[of.Index] - worth[token])));
            var next = Tabular.Normalized(reference.Index().Select(of => of.Item * Math.Exp(Preferred(of.Index) / tau)));
            equilibrium = [.. equilibrium.Zip(next, (one, other) => (one + other) / 2)];
        }
        Assert.True(Tabular.Distance(reference, equilibrium) > 0.25);
        foreach (var (learningRate, rounds) in (IEnumerable<(double, int)>)[(0.05, 60), (0.005, 60)])
        {
            using var trainer = new RoundsTrainer(
                pair, new FunctionReward(answer => (float)worth[answer.Ids[0]]), new NashMdLoss(tau), new RoundsOptions
                {
                    Rounds = rounds,
                    PromptsPerRound = 1,
                    Sampling = new() { SamplesPerPrompt = 4000, MaxNewTokens = 1, BatchSize = 4000 },
                    Training = new()
                    {
                        Optimizer = OptimizerKind.AdamW,
                        LearningRate = learningRate,
                        Schedule = LearningRateSchedules.TrlConstant(0),
                        MicroBatchTokens = 10000,
                    },
                },
                PairMaking.OwnAgainstOther, sampler: new MixtureSampler(share));
            trainer.Train([Tabular.Prompt]);
        }
        Assert.InRange(Tabular.Distance(Tabular.Probabilities(pair.Policy, 4), equilibrium), 0, 0.02);

        var unscored = new PreferenceBatch([new TokenizedExample([1], [[2], [3]], [new(0, 1)])]);
        Assert.Contains(
            "make them by PairMaking.OwnAgainstOther",
            Assert.Throws<InvalidInputException>(() => new NashMdLoss().Share(
                new(
                    new(tensor([-1f, -1f]), [0, 1, 2]), new(tensor([-1f, -1f]), [0, 1, 2]), unscored.To(CPU).Preferences),
                unscored.Counts)).Message, StringComparison.Ordinal);
    }

    /// <summary>XPO from end to end learns what is better, is gone on with as it was, and not with another sampler.</summary>
    [Fact]
    public void XPO_in_rounds_learns_and_goes_on()
    {
        var whole = Run(rounds: 4);
        Assert.True(whole.Steps[^1]["objective/scores"] > whole.Steps[0]["objective/scores"]);
        Run(rounds: 2, folder.Path);
        var rest = Run(rounds: 4, folder.Path);
        Assert.Equal([3, 4], rest.Steps.Select(step => step.Step));
        Assert.Equal(whole.Weights, rest.Weights);
        Assert.Contains(
            "the sampler ReferenceSampler then, MixtureSampler(0.5) now",
            Assert.Throws<InvalidInputException>(() => Run(rounds: 5, folder.Path, new MixtureSampler())).Message,
            StringComparison.Ordinal);
        // Runs without a choice of a sampler are recorded as they were before there was one.
        Course.Run(isPpo: false, folder.File("plain"), rounds: 1);
        Assert.All(
            Directory.GetFiles(Checkpoints.Latest(folder.File("plain"))!, "*.json"),
            file => Assert.DoesNotContain("the sampler", File.ReadAllText(file), StringComparison.Ordinal));
        Assert.Contains(
            Directory.GetFiles(Checkpoints.Latest(folder.Path)!, "*.json"),
            file => File.ReadAllText(file).Contains("the sampler", StringComparison.Ordinal));

        (float[] Weights, List<TrainingMetrics> Steps) Run(int rounds, string? into = null, IRoundSampler? sampler = null)
        {
            using var policy = Course.Policy();
            using var pair = new PolicyReferencePair(policy);
            var steps = new List<TrainingMetrics>();
            using var trainer = new RoundsTrainer(
                pair, new FunctionReward(Course.Worth), new XpoLoss(alpha: 1e-3), Course.Rounds(rounds) with
                {
                    Checkpoints = into is null ? null : new() { Folder = into },
                    ResumeFrom = into is null ? null : Checkpoints.Latest(into),
                },
                PairMaking.AcrossHalves, sampler: sampler ?? new ReferenceSampler());
            trainer.Train(Course.Prompts, new Recorder(steps));
            return ([.. policy.parameters().SelectMany(weight => weight.detach().flatten().data<float>().ToArray())], steps);
        }
    }

    /// <summary>A judge that says one of two words with known probability: the mean over its verdicts is the reward.</summary>
    [Fact]
    public void A_model_judges()
    {
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", "gpt2"));
        var (good, bad) = (tokenizer.Encode("1").Single(), tokenizer.Encode("0").Single());
        var logits = Enumerable.Repeat(-50.0, tokenizer.VocabularySize).ToArray();
        (logits[good], logits[bad]) = (Math.Log(3), 0); // 3 in 4
        using var model = Tabular.Policy(logits);
        var asked = new List<string>();
        var verdicts = new List<string>();
        SelfJudge Judge(SamplingOptions? sampling) => new(
            model, tokenizer,
            answer => { asked.Add($"{answer.Prompt}|{answer.Text}|"); return asked[^1]; },
            verdict =>
            {
                verdicts.Add(verdict);
                return verdict.Count(letter => letter == '1') - verdict.Count(letter => letter == '0');
            },
            sampling);
        Answer[] answers = [new() { PromptIds = [5], Ids = [6], Prompt = "a", Text = "b" }, new() { PromptIds = [5], Ids = [7], Prompt = "c", Text = "d" }];
        Assert.Equal([1, 1], Judge(new() { Temperature = 0, MaxNewTokens = 1 }).Score(answers));
        Assert.Equal(["a|b|", "c|d|"], asked);
        // A verdict is 1 with probability ¾ and −1 otherwise: ½ on average, with deviation √¾.
        var scores = Judge(new() { SamplesPerPrompt = 2000, MaxNewTokens = 1, BatchSize = 2000 }).Score(answers);
        Assert.All(scores, score => Assert.Equal(0.5, score, 4 * Math.Sqrt(0.75 / 2000)));
        Assert.NotEqual(scores[0], scores[1]);
        verdicts.Clear();
        Judge(null).Score(answers);
        Assert.Equal(Enumerable.Repeat(64, 2 * 3), verdicts.Select(verdict => verdict.Length));
    }
}
