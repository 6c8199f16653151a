using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The trainer with every loss of the family: a batch's gradient does not depend on how it was cut.</summary>
public class LossFamilyTests
{
    /// <summary>Random examples with all that is known of completions: pairs, a ranking and scores, or labels.</summary>
    internal static PreferenceData Data(int count, bool labelled)
    {
        var random = new Random(3);
        int[] Ids(int most) => [.. Enumerable.Range(0, random.Next(1, most + 1)).Select(_ => random.Next(1, 40))];
        var data = new PreferenceData(Enumerable.Range(0, count).Select(_ =>
        {
            var completions = Enumerable.Range(0, random.Next(2, 5)).Select(_ => (int[])[.. Ids(6), 0]).ToArray();
            if (labelled)
                return new TrainingExample(Ids(8), completions, []) { Labels = [.. completions.Select(_ => random.Next(2) == 1)] };
            var ranking = Enumerable.Range(0, completions.Length).ToArray();
            random.Shuffle(ranking);
            var pairs = ranking.Zip(ranking.Skip(1), (better, worse) => new PreferencePair(better, worse));
            // Whoever is ranked higher has the higher score.
            var prompt = Ids(8);
            float[] descending = [.. completions.Select(_ => random.NextSingle()).OrderDescending()];
            return new TrainingExample(prompt, completions, [.. pairs])
            {
                Ranking = ranking,
                Scores = [.. completions.Select((_, index) => descending[Array.IndexOf(ranking, index)])],
            };
        }));
        return labelled ? data.WithMismatches() : data;
    }

    /// <summary>A policy that has moved away from its reference, so that no log-ratio is 0.</summary>
    private static PolicyReferencePair Pair() => new(new Gpt2(TrainerTests.Shape, seed: 6), new Gpt2(TrainerTests.Shape, seed: 5));

    /// <summary>The metrics of one step, and its gradient.</summary>
    private static (TrainingMetrics Metrics, double[] Gradient) Step(LossOptions options, PreferenceData data, int microBatchSize, int microBatchTokens)
    {
        using var pair = Pair();
        using var sgd = optim.SGD(pair.Policy.parameters(), 0);
        using var trainer = new DpoTrainer(pair, options.Create(), TrainerTests.Options with
        {
            BatchSize = int.MaxValue,
            Steps = 1,
            Schedule = (_, _) => 0,
            MaxGradNorm = double.PositiveInfinity,
            MicroBatchSize = microBatchSize,
            MicroBatchTokens = microBatchTokens,
        }, sgd);
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, data, new Recorder(steps));
        return (steps.Single(), [.. pair.Policy.parameters().SelectMany(parameter => parameter.grad!.flatten().ToDoubles())]);
    }

    public static TheoryData<string> Names =>
        [.. LossOptions.AllNames, "sigmoid sft", "aot sft", "ld hinge", "wpo sigmoid", "wpo ld apo_zero sft", "ld aot_unpaired", "tdpo1 aot", "wpo tdpo2", "ld beta_dpo"];

    internal static LossOptions Named(string text)
    {
        var names = text.Split(' ');
        return new LossOptions
        {
            Names = [.. names.Where(name => name is not ("ld" or "wpo"))],
            Beta = 0.3,
            LabelSmoothing = text.Contains("exo_pair", StringComparison.Ordinal) ? 0.1 : 0,
            LdAlpha = names.Contains("ld") ? 0.4 : null,
            UseWeighting = names.Contains("wpo"),
            Weights = [.. names.Where(name => name is not ("ld" or "wpo")).Select((_, index) => 1 - 0.3 * index)],
        };
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Gradients_and_metrics_do_not_depend_on_how_a_batch_is_cut(string name)
    {
        var data = Data(8, labelled: name == "kto");
        var (metrics, gradient) = Step(Named(name), data, int.MaxValue, int.MaxValue);
        var norm = Math.Sqrt(gradient.Sum(value => value * value));
        Assert.InRange(norm, 1e-4, 1e6);
        foreach (var (size, tokens) in new[] { (1, int.MaxValue), (3, int.MaxValue), (int.MaxValue, 1), (int.MaxValue, 70) })
        {
            var (cutMetrics, cutGradient) = Step(Named(name), data, size, tokens);
            var difference = Math.Sqrt(gradient.Zip(cutGradient, (a, b) => (a - b) * (a - b)).Sum());
            Assert.True(difference <= 1e-5 * norm, $"{name}, {size}, {tokens}: {difference} of {norm}");
            Assert.Equal(metrics.Values.Keys, cutMetrics.Values.Keys);
            foreach (var (key, value) in metrics.Values)
                Numbers.AssertClose(value, cutMetrics[key], 2e-5, $"{name}, {key}");
        }
        // Nothing moved, so evaluation measures what the step measured.
        Numbers.AssertClose(metrics["loss"], metrics["eval_loss"], 1e-5, name);
    }

    /// <summary>The gradient of every loss against one computed in the open: all log-probabilities at once, and the loss of them.</summary>
    [Theory]
    [InlineData("aot")]
    [InlineData("kto")]
    [InlineData("sigmoid sft")]
    [InlineData("wpo ld apo_zero sft")]
    [InlineData("plackett_luce")]
    [InlineData("tdpo1 aot")]
    [InlineData("sampo")]
    public void Gradients_equal_those_of_the_loss_written_out(string name)
    {
        var data = Data(6, labelled: name == "kto");
        var (metrics, actual) = Step(Named(name), data, 1, int.MaxValue);

        using var scope = NewDisposeScope();
        using var pair = Pair();
        var (batch, loss) = (new PreferenceBatch(data.Examples), Named(name).Create());
        var tokens = batch.To(CPU);
        var (policy, reference) = pair.LogProbs(tokens, loss.Needs);
        var share = loss.Share(new(policy, reference, tokens.Preferences), batch.Counts);
        share.backward();
        Numbers.AssertClose(share.item<float>(), metrics["loss"], 1e-5, "loss");
        double[] expected = [.. pair.Policy.parameters().SelectMany(parameter => parameter.grad!.flatten().ToDoubles())];
        var norm = Math.Sqrt(expected.Sum(value => value * value));
        Assert.True(Math.Sqrt(expected.Zip(actual, (a, b) => (a - b) * (a - b)).Sum()) <= 1e-5 * norm);
    }

    /// <summary>Counts the forward passes.</summary>
    private sealed class Counting : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Embedding embedding = nn.Embedding(40, 40);

        public int Calls { get; private set; }

        public Counting()
            : base(nameof(Counting)) => RegisterComponents();

        public override Tensor forward(Tensor ids)
        {
            Calls++;
            return embedding.call(ids);
        }
    }

    [Theory]
    [InlineData("sigmoid", int.MaxValue, 2)]
    [InlineData("sigmoid", 1, 8)]
    [InlineData("sigmoid sft", 1, 8)]
    [InlineData("simpo", 1, 4)]
    [InlineData("aot", int.MaxValue, 2)]
    [InlineData("aot", 1, 12)]
    [InlineData("beta_dpo", 1, 12)]
    [InlineData("tdpo2", 1, 8)]
    public void Only_a_loss_that_couples_a_cut_batch_takes_a_second_forward_pass(string name, int microBatchSize, int calls)
    {
        var module = new Counting();
        using var pair = new PolicyReferencePair(new LogitsModel(module));
        using var trainer = new DpoTrainer(pair, Named(name).Create(), TrainerTests.Options with { Steps = 1, MicroBatchSize = microBatchSize, BatchSize = 100 });
        trainer.Train(Data(4, labelled: false));
        // Once before, it was asked for the size of its vocabulary.
        Assert.Equal(calls, module.Calls - 1);
    }

    [Fact]
    public void A_loss_of_whole_distributions_is_not_trained_on_log_probabilities_that_were_kept()
    {
        var data = Data(4, labelled: false);
        using var pair = Pair();
        var kept = new PreferenceData(data.Examples.Select((example, index) => index != 2 ? example : example with
        {
            ReferenceLogProbs = [.. example.Completions.Select(ids => new float[ids.Count])],
            Source = "train.jsonl:3",
        }));
        using var trainer = new DpoTrainer(pair, new CombinedLoss((new DpoLoss(), 1), (new Tdpo2Loss(), 1)), TrainerTests.Options);
        const string Refusal = "The loss measures the policy's whole distributions against the reference's, and ";
        Assert.Equal(
            Refusal + "the example train.jsonl:3 carries only the reference's log-probabilities of its own tokens; train on data without ReferenceLogProbs, or take another loss.",
            Assert.Throws<InvalidOperationException>(() => trainer.Train(kept)).Message);
        Assert.StartsWith(
            Refusal + "the example train.jsonl:3", Assert.Throws<InvalidOperationException>(() => Evaluator.Rewards(pair, kept, new Tdpo1Loss()).Count()).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            Refusal + "the batch carries", Assert.Throws<InvalidOperationException>(
                () => pair.LogProbs(new PreferenceBatch([kept.Examples[2]]).To(CPU), new Tdpo1Loss().Needs)).Message, StringComparison.Ordinal);
        pair.ReleaseReference();
        Assert.Equal(
            Refusal + "the reference was released; leave ReleaseReference out, or take another loss.",
            Assert.Throws<InvalidOperationException>(() => trainer.Train(data)).Message);
    }

    [Fact]
    public void A_loss_without_a_reference_trains_after_the_reference_was_released()
    {
        using var pair = Pair();
        pair.ReleaseReference();
        var steps = new List<TrainingMetrics>();
        using var trainer = new DpoTrainer(pair, new SimPoLoss(), TrainerTests.Options with { Steps = 30 });
        trainer.Train(Data(8, labelled: false), progress: new Recorder(steps));
        Assert.True(steps[^1]["rewards/margins"] > steps[0]["rewards/margins"] + 1);
    }

    [Fact]
    public void KTO_raises_the_rewards_of_desirable_completions_above_those_of_undesirable_ones()
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        var steps = new List<TrainingMetrics>();
        using var trainer = new DpoTrainer(pair, new KtoLoss(0.3), TrainerTests.Options with { BatchSize = 100, Steps = 30 });
        trainer.Train(Data(8, labelled: true), progress: new Recorder(steps));
        Assert.Equal(0, steps[0]["rewards/margins"]);
        Assert.True(steps[^1]["rewards/chosen"] > 0.1 && steps[^1]["rewards/rejected"] < -0.1, $"{steps[^1]["rewards/chosen"]}, {steps[^1]["rewards/rejected"]}");
    }

    /// <summary>A loss of a user's own is a class with two members; this one is that of the documentation.</summary>
    private sealed class SquaredHinge(double beta) : PairLoss
    {
        public override double Beta => beta;

        public override Tensor Losses(PairLogProbs pairs) => (1 - Beta * pairs.Margins).clamp_min(0).square();
    }

    [Fact]
    public void A_loss_of_ones_own_is_trained_on()
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, new SquaredHinge(0.5), TrainerTests.Options with { Steps = 30 });
        var steps = new List<TrainingMetrics>();
        trainer.Train(Data(8, labelled: false), progress: new Recorder(steps));
        Assert.Equal((1, 0), (steps[0]["loss"], steps[0]["rewards/margins"]));
        Assert.True(steps[^1]["loss"] < 0.5, $"loss {steps[^1]["loss"]}");
    }

    [Fact]
    public void Labelled_data_report_desirable_and_undesirable_completions()
    {
        var data = Data(8, labelled: true);
        var (metrics, _) = Step(Named("kto"), data, 2, int.MaxValue);
        Assert.Equal(
            ["loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected", "grad_norm", "learning_rate", "epoch", "num_tokens"],
            metrics.Values.Keys.Where(key => !key.StartsWith("eval_", StringComparison.Ordinal)));

        var onlyGood = new PreferenceData(data.Examples.Select(example => example with { Labels = [.. example.Labels!.Select(_ => true)] }));
        Assert.DoesNotContain("rewards/rejected", Step(Named("kto"), onlyGood, 2, int.MaxValue).Metrics.Values.Keys);

        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var pair = Pair();
        var (policy, reference) = pair.LogProbs(new PreferenceBatch(data.Examples).To(CPU));
        var (rewards, logProbs) = ((0.3 * (policy.Sums - reference.Sums)).ToDoubles(), policy.Sums.ToDoubles());
        bool?[] labels = [.. data.Examples.SelectMany(example => example.Labels!.Select(label => (bool?)label).Append(null))];
        double Mean(double[] values, bool label) => values.Where((_, index) => labels[index] == label).Average();
        Numbers.AssertClose(Mean(rewards, true), metrics["rewards/chosen"], 1e-5);
        Numbers.AssertClose(Mean(rewards, false), metrics["rewards/rejected"], 1e-5);
        Numbers.AssertClose(Mean(rewards, true) - Mean(rewards, false), metrics["rewards/margins"], 1e-5);
        Numbers.AssertClose(Mean(logProbs, true), metrics["logps/chosen"], 1e-5);
    }

    [Fact]
    public void Data_without_what_a_loss_needs_are_refused()
    {
        var (paired, labelled) = (Data(4, labelled: false), Data(4, labelled: true));
        string Refusal(string name, PreferenceData data) =>
            Assert.Throws<InvalidInputException>(() => Step(Named(name), data, int.MaxValue, int.MaxValue)).Message;
        Assert.Equal("A batch holds no completion labelled desirable or undesirable, so KTO has nothing to learn from it; give 'completion' and 'label' in every row.", Refusal("kto", paired));
        var unmatched = new PreferenceData(labelled.Examples.Select(example => example with { Completions = [.. example.Completions.SkipLast(1)], MismatchedCount = 0 }));
        Assert.Equal("A batch holds no completion of another prompt, by which KTO measures the KL; train on PreferenceData.WithMismatches().", Refusal("kto", unmatched));
        Assert.StartsWith("A batch holds no pair of a chosen and a rejected completion, so a loss of pairs", Refusal("hinge", labelled), StringComparison.Ordinal);
        Assert.StartsWith("A batch holds no chosen completion for the SFT term", Refusal("sft", labelled), StringComparison.Ordinal);
        Assert.StartsWith("A batch holds no ranking", Refusal("plackett_luce", labelled), StringComparison.Ordinal);
        var unscored = new PreferenceData(paired.Examples.Select((example, index) => index == 2 ? example with { Scores = null } : example));
        Assert.StartsWith("RPO draws rewards to scores", Refusal("rpo_sq", unscored), StringComparison.Ordinal);
        Assert.StartsWith("ODPO asks for margins that grow with the gap of scores", Refusal("odpo", unscored), StringComparison.Ordinal);
        PreferenceData Scored(params float[] scores) =>
            new([new TrainingExample([1], [[2, 0], [3, 0]], [new(0, 1)]) { Scores = scores, Source = "train.jsonl:7" }]);
        Assert.Equal(
            "train.jsonl:7: ODPO takes the logarithm of how much higher the chosen completion's score is, and 1.5 is below 2; exchange or drop the pair, or take another loss.",
            Refusal("odpo", Scored(1.5f, 2)));
        Assert.Equal(
            "train.jsonl:7: ODPO divides scores and takes the logarithm, and 1.5 or 0 is not above 0; exchange or drop the pair, or take another loss.",
            Refusal("odpo_ratio", Scored(1.5f, 0)));
    }
}
