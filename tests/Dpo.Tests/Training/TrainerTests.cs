using static TorchSharp.torch;

namespace Dpo.Tests;

public class TrainerTests
{
    internal static readonly Gpt2Config Shape = new() { VocabularySize = 40, MaxPositions = 24, HiddenSize = 16, LayerCount = 2, HeadCount = 2 };

    /// <summary>Random examples of 2 to 4 completions with every pair of neighbours.</summary>
    internal static PreferenceData Data(int count, int seed = 0)
    {
        var random = new Random(seed);
        int[] Ids(int most) => [.. Enumerable.Range(0, random.Next(1, most + 1)).Select(_ => random.Next(1, 40))];
        return new PreferenceData(Enumerable.Range(0, count).Select(index =>
        {
            var completions = Enumerable.Range(0, random.Next(2, 5)).Select(_ => (int[])[.. Ids(6), 0]).ToArray();
            var pairs = Enumerable.Range(1, completions.Length - 1).Select(loser => new PreferencePair(loser - 1, loser));
            return new TrainingExample(Ids(8), completions, [.. pairs]) { Source = $"row {index}" };
        }));
    }

    private static List<TrainingMetrics> Train(PreferenceData data, TrainingOptions options, out Dictionary<string, double[]> weights)
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: options);
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, null, new Recorder(steps));
        weights = pair.Policy.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().flatten().ToDoubles());
        return steps;
    }

    internal static TrainingOptions Options => new()
    {
        LearningRate = 1e-3,
        Schedule = LearningRateSchedules.Paper(0),
        BatchSize = 16,
        Steps = 6,
        MaxGradNorm = 1,
    };

    /// <summary>Gradient accumulation: 1×8 equals 8×1, and any token budget, to rounding.</summary>
    [Theory]
    [InlineData(1, int.MaxValue)]
    [InlineData(5, int.MaxValue)]
    [InlineData(int.MaxValue, 1)]
    [InlineData(int.MaxValue, 60)]
    public void The_result_does_not_depend_on_how_a_batch_is_cut(int microBatchSize, int microBatchTokens)
    {
        var data = Data(24);
        var whole = Train(data, Options with { MicroBatchTokens = int.MaxValue }, out _);
        var cut = Train(data, Options with { MicroBatchSize = microBatchSize, MicroBatchTokens = microBatchTokens }, out _);
        Assert.Equal(whole.Count, cut.Count);
        foreach (var (expected, actual) in whole.Zip(cut))
        {
            foreach (var (name, value) in expected.Values)
                Numbers.AssertClose(value, actual[name], 1e-4, $"step {expected.Step}, {name}");
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_run_to_the_bit_and_another_seed_another()
    {
        var data = Data(24);
        var first = Train(data, Options, out var firstWeights);
        manual_seed(99); // the process's global random state must not matter
        var second = Train(data, Options, out var secondWeights);
        var other = Train(data, Options with { Seed = 1 }, out _);
        Assert.Equal(first.Select(step => step.Values), second.Select(step => step.Values));
        Assert.Equal(firstWeights, secondWeights);
        Assert.NotEqual(first.Select(step => step["loss"]), other.Select(step => step["loss"]));
    }

    [Fact]
    public void The_first_step_starts_from_ln_2_and_zero_rewards_and_training_raises_the_margin()
    {
        var steps = Train(Data(16), Options with { Steps = 40 }, out _);
        Numbers.AssertClose(Math.Log(2), steps[0]["loss"], 1e-6, "loss");
        Assert.Equal((0, 0, 0), (steps[0]["rewards/chosen"], steps[0]["rewards/rejected"], steps[0]["rewards/accuracies"]));
        Assert.True(steps[^1]["rewards/margins"] > 0.2, $"margin {steps[^1]["rewards/margins"]}");
        Assert.True(steps[^1]["loss"] < 0.6, $"loss {steps[^1]["loss"]}");
    }

    [Fact]
    public void Epochs_steps_and_counts_are_reported()
    {
        var data = Data(10);
        var pairs = data.Examples.Sum(example => example.Pairs.Count);
        var steps = Train(data, Options with { BatchSize = 4, Steps = null, Epochs = 2 }, out _);
        Assert.Equal(Enumerable.Range(1, steps.Count), steps.Select(step => step.Step));
        Assert.Equal(2, steps[^1]["epoch"]);
        Assert.True(steps.Count >= 2 * pairs / 4);
        var tokens = data.Examples.Sum(e => e.Completions.Sum(completion => completion.Count + e.Prompt.Count));
        Assert.Equal(2 * tokens, steps[^1]["num_tokens"]);
    }

    [Fact]
    public void Evaluation_measures_held_out_data_without_training()
    {
        var (data, heldOut) = (Data(16), Data(7, seed: 1));
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: Options with { Steps = 5, EvaluateEvery = 2, LearningRate = 1e-2 });
        var before = trainer.Evaluate(heldOut);
        Numbers.AssertClose(Math.Log(2), before["eval_loss"], 1e-6, "loss");
        Assert.Equal(0, before["eval_rewards/margins"]);

        var steps = new List<TrainingMetrics>();
        trainer.Train(data, heldOut, new Recorder(steps));

        Assert.Equal([2, 4, 5], steps.Where(step => step.Values.ContainsKey("eval_loss")).Select(step => step.Step));
        Assert.Equal(trainer.Evaluate(heldOut)["eval_loss"], steps[^1]["eval_loss"]);
        Assert.NotEqual(before["eval_loss"], steps[^1]["eval_loss"]);
    }

    public static TheoryData<string, TrainingOptions> OutOfRange => new()
    {
        { nameof(TrainingOptions.LearningRate), Options with { LearningRate = 0 } },
        { nameof(TrainingOptions.WeightDecay), Options with { Optimizer = OptimizerKind.AdamW, WeightDecay = -0.1 } },
        { nameof(TrainingOptions.MaxGradNorm), Options with { MaxGradNorm = 0 } },
        { nameof(TrainingOptions.BatchSize), Options with { BatchSize = 0 } },
        { nameof(TrainingOptions.MicroBatchSize), Options with { MicroBatchSize = 0 } },
        { nameof(TrainingOptions.MicroBatchTokens), Options with { MicroBatchTokens = 0 } },
        { nameof(TrainingOptions.Epochs), Options with { Epochs = 0 } },
        { nameof(TrainingOptions.Steps), Options with { Steps = 0 } },
        { nameof(TrainingOptions.EvaluateEvery), Options with { EvaluateEvery = 0 } },
        { nameof(TrainingOptions.WarnOfChosenFall), Options with { WarnOfChosenFall = 0 } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange))]
    public void An_option_out_of_its_range_is_refused_by_name(string name, TrainingOptions options)
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        Assert.Contains(name, Assert.Throws<ArgumentOutOfRangeException>(() => new DpoTrainer(pair, options: options)).ParamName, StringComparison.Ordinal);
    }

    [Fact]
    public void RMSprop_takes_no_weight_decay()
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        Assert.Equal(
            "RMSprop has no decoupled weight decay; use AdamW or a weight decay of 0.",
            Assert.Throws<ArgumentException>(() => new DpoTrainer(pair, options: Options with { WeightDecay = 0.1 })).Message);
    }

    /// <summary>What a run that is refused has made is nothing, whatever the one before it made.</summary>
    [Fact]
    public void Steps_are_those_of_the_last_run()
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: Options with { Steps = 2 });
        Assert.Equal((0, 0), (trainer.StepsMade, trainer.TotalSteps));
        trainer.Train(Data(16));
        Assert.Equal((2, 2), (trainer.StepsMade, trainer.TotalSteps));
        Assert.Throws<InvalidInputException>(() => trainer.Train(new PreferenceData([new([1], [[40], [2]], [new(0, 1)])])));
        Assert.Equal((0, 0), (trainer.StepsMade, trainer.TotalSteps));
    }

    [Fact]
    public void The_reference_stays_the_initial_policy()
    {
        using var scope = NewDisposeScope();
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var initial = new Gpt2(Shape, seed: 5);
        using var separate = new PolicyReferencePair(new Gpt2(Shape, seed: 6), new Gpt2(Shape, seed: 5));
        using (var trainer = new DpoTrainer(pair, options: Options))
            trainer.Train(Data(16));
        var batch = new PreferenceBatch(Data(3).Examples).To(CPU);
        using var noGrad = no_grad();
        var expected = CompletionLogProbs.Compute(initial, batch).PerToken.ToDoubles();
        Assert.Equal(expected, pair.LogProbsOfReference(batch).PerToken.ToDoubles());
        Assert.Equal(expected, separate.LogProbs(batch).Reference.PerToken.ToDoubles());
        Assert.NotEqual(expected, CompletionLogProbs.Compute(pair.Policy, batch).PerToken.ToDoubles());
    }

    [Fact]
    public void A_non_finite_loss_stops_the_run_before_the_update_and_names_the_examples()
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using (no_grad())
            pair.Policy.parameters().Last().fill_(float.NaN);
        var before = pair.Policy.parameters().First().detach().clone().ToDoubles();
        using var trainer = new DpoTrainer(pair, options: Options);
        var exception = Assert.Throws<NotFiniteNumberException>(() => trainer.Train(new PreferenceData(Data(2).Examples)));
        Assert.StartsWith("Step 1 has loss NaN and gradient norm NaN; the update was not made. Its examples: row ", exception.Message, StringComparison.Ordinal);
        Assert.Equal(before, pair.Policy.parameters().First().ToDoubles());
    }

    /// <summary>Shares of 1/7 in single precision add up to 1.0000000298.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Accuracies_are_counts_over_counts_however_the_batch_is_cut(int microBatchSize)
    {
        var data = new PreferenceData(Enumerable.Range(1, 7).Select(id => new TrainingExample([id], [[id, 0], [id + 20, 0]], [new(0, 1)])));
        var options = Options with { BatchSize = 7, MicroBatchSize = microBatchSize, Steps = 60, LearningRate = 1e-2, DetailedMetrics = true };
        var steps = Train(data, options, out _);
        Assert.Equal(1, steps[^1]["rewards/accuracies"]);
        Assert.All(steps, step => Assert.Equal(Math.Round(7 * step["rewards/accuracies"]) / 7, step["rewards/accuracies"]));
        Assert.All(steps, step => Assert.Equal(Math.Round(14 * step["mean_token_accuracy"]) / 14, step["mean_token_accuracy"]));
        using var model = new Gpt2(Shape, seed: 5);
        using var sft = new SftTrainer(model, options);
        var fineTuning = new List<TrainingMetrics>();
        sft.Train(data.ChosenOnly(), progress: new Recorder(fineTuning));
        Assert.All(fineTuning, step => Assert.Equal(Math.Round(14 * step["mean_token_accuracy"]) / 14, step["mean_token_accuracy"]));
    }

    [Fact]
    public void A_metric_that_was_not_measured_is_told_with_those_that_were()
    {
        var step = Train(Data(3), Options with { Steps = 1 }, out _)[0];
        Assert.Equal(
            "Step 1 has no metric eval_loss; it has loss, rewards/chosen, rewards/rejected, rewards/margins, rewards/accuracies, logps/chosen, logps/rejected, " +
            "grad_norm, learning_rate, epoch, num_tokens.",
            Assert.Throws<KeyNotFoundException>(() => step["eval_loss"]).Message);
    }

    [Fact]
    public void Data_without_pairs_is_refused()
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: Options);
        var data = new PreferenceData([new TrainingExample([1], [[2, 0]], [])]);
        Assert.StartsWith("A batch holds no pair", Assert.Throws<InvalidInputException>(() => trainer.Train(data)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidInputException>(() => trainer.Evaluate(data));
    }

    [Fact]
    public void Cancellation_ends_the_run_between_steps()
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: Options);
        using var cancellation = new CancellationTokenSource();
        var steps = new List<TrainingMetrics>();
        var progress = new Callback(metrics =>
        {
            steps.Add(metrics);
            if (metrics.Step == 2)
                cancellation.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => trainer.Train(Data(16), progress: progress, cancellationToken: cancellation.Token));
        Assert.Equal(2, steps.Count);
    }

    internal sealed class Callback(Action<TrainingMetrics> report) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value) => report(value);
    }

    /// <summary>RMSprop's update written out, on a user's own optimizer as on the trainer's.</summary>
    [Fact]
    public void The_update_is_RMSprops_with_the_scheduled_rate()
    {
        var data = Data(6);
        using var pair = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using var own = optim.SGD(pair.Policy.parameters(), 123);
        var before = pair.Policy.parameters().Select(parameter => parameter.detach().clone()).ToArray();
        using (var trainer = new DpoTrainer(pair, options: Options with { Steps = 1, Shuffle = false, Schedule = (_, _) => 0.5 }, optimizer: own))
            trainer.Train(data);
        var gradients = pair.Policy.parameters().Select(parameter => parameter.grad!.clone()).ToArray();
        foreach (var (parameter, (old, gradient)) in pair.Policy.parameters().Zip(before.Zip(gradients)))
            Numbers.AssertClose((old - 5e-4 * gradient).flatten().ToDoubles(), parameter.detach().flatten().ToDoubles(), 1e-6, "SGD");

        using var rmsProp = new PolicyReferencePair(new Gpt2(Shape, seed: 5));
        using (var trainer = new DpoTrainer(rmsProp, options: Options with { Steps = 1, Shuffle = false, Schedule = (_, _) => 0.5 }))
            trainer.Train(data);
        foreach (var (parameter, (old, gradient)) in rmsProp.Policy.parameters().Zip(before.Zip(gradients)))
        {
            var update = gradient / ((0.01 * gradient * gradient).sqrt() + 1e-8);
            Numbers.AssertClose((old - 5e-4 * update).flatten().ToDoubles(), parameter.detach().flatten().ToDoubles(), 1e-5, "RMSprop");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1e-6)]
    public void Options_out_of_range_are_refused(double learningRate)
    {
        using var pair = new PolicyReferencePair(new Gpt2(Shape));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DpoTrainer(pair, options: new() { LearningRate = learningRate }));
        Assert.Throws<ArgumentException>(() => new DpoTrainer(pair, options: new() { WeightDecay = 0.1 }));
    }

    /// <summary>A loss of 0 whose slope is no number, or one that is infinite with a slope that is.</summary>
    private sealed class Broken(bool loss) : PairLoss
    {
        public override double Beta => 1;

        public override Tensor Losses(PairLogProbs pairs) => loss
            ? pairs.Margins + full_like(pairs.Margins, float.PositiveInfinity).detach()
            : (pairs.Margins - pairs.Margins.detach()).sqrt();
    }

    /// <summary>Either one by itself keeps the update from being made.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Neither_a_loss_nor_a_gradient_that_is_not_finite_updates_the_weights(bool loss)
    {
        using var model = new Gpt2(Shape, seed: 5);
        using var pair = new PolicyReferencePair(model);
        using var trainer = new DpoTrainer(pair, new Broken(loss), Options);
        var before = model.parameters().Select(parameter => parameter.detach().flatten().ToDoubles()).ToArray();
        var message = Assert.Throws<NotFiniteNumberException>(() => trainer.Train(Data(16))).Message;
        var finite = (loss ? @"^Step 1 has loss Infinity and gradient norm [0-9.E+-]+; the update was not made\." : @"^Step 1 has loss 0 and gradient norm (NaN|Infinity); the update was not made\.");
        Assert.Matches(finite, message);
        Assert.Equal(before, model.parameters().Select(parameter => parameter.detach().flatten().ToDoubles()).ToArray());
    }
}
