using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>What PPO and rounds of DPO have in common: rounds that are learned from, saved, gone on with, and refused.</summary>
public sealed class RoundLoopTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public static TheoryData<bool> Both => [true, false];

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Both))]
    public void Scores_rise(bool isPpo)
    {
        var (_, steps) = Course.Run(isPpo, rounds: 15);
        Assert.Equal(Enumerable.Range(1, 15), steps.Select(step => step.Step));
        var (first, last) = (steps[0]["objective/scores"], steps.TakeLast(3).Average(step => step["objective/scores"]));
        Assert.True(last > first + 0.2, $"{first} {last}");
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void A_run_that_is_gone_on_with_is_the_run_that_was_not_stopped(bool isPpo)
    {
        var whole = Course.Run(isPpo);
        // Stopped by a failing report, whose round is saved and told again; and by a token, while the round's completions are scored.
        var failing = new Stop(step => step == 2 ? throw new IOException("full") : 0);
        Assert.Throws<IOException>(() => Course.Run(isPpo, folder.Path, progress: failing));
        using var cancelled = new CancellationTokenSource();
        Assert.Contains(
            "Stopped after step 4; the run can be resumed from",
            Assert.Throws<OperationCanceledException>(() => Course.Run(
                isPpo, folder.Path, progress: new Stop(step => { if (step == 4) cancelled.Cancel(); return 0; }),
                cancellationToken: cancelled.Token)).Message, StringComparison.Ordinal);
        var rest = Course.Run(isPpo, folder.Path);
        Assert.Equal([5, 6], rest.Steps.Select(step => step.Step));
        Assert.Equal(whole.Weights, rest.Weights);
        foreach (var (one, other) in whole.Steps.Skip(4).Zip(rest.Steps))
            Assert.Equal(one.Values, other.Values);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void No_tensor_outlives_its_round(bool isPpo)
    {
        // Tensors that earlier tests dropped must not be finalized in between.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var counts = new List<long>();
        Course.Run(isPpo, rounds: 8, progress: new Stop(_ => { counts.Add(Tensor.TotalCount); return 0; }));
        Assert.Equal(Enumerable.Repeat(counts[1], 7), counts.Skip(1));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void Another_reward_or_other_prompts_are_another_run(bool isPpo)
    {
        Course.Run(isPpo, folder.Path, rounds: 1);
        var refused = Assert.Throws<InvalidInputException>(() => Course.Run(isPpo, folder.Path, reward: new Other()));
        Assert.Contains("belongs to another run: the reward FunctionReward then, Other now", refused.Message, StringComparison.Ordinal);
        using var policy = Course.Policy();
        using var pair = new PolicyReferencePair(policy);
        using var trainer = new PpoTrainer(pair, new FunctionReward(Course.Worth), Course.Ppo());
        Assert.Contains(
            "no prompt", Assert.Throws<InvalidInputException>(() => trainer.Train(Array.Empty<int[]>())).Message, StringComparison.Ordinal);
        Assert.Contains(
            "no tokenizer", Assert.Throws<InvalidInputException>(() => trainer.Train(["text"])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void A_reward_answers_with_a_finite_number_for_each(bool isPpo)
    {
        foreach (var reward in (IReward[])[new FunctionReward(_ => float.NaN), new Other()])
            Assert.Contains(
                "it must give a finite number for each",
                Assert.Throws<InvalidOperationException>(() => Course.Run(isPpo, reward: reward)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void PPO_refuses_what_it_cannot_learn_by()
    {
        using var policy = Course.Policy();
        using var pair = new PolicyReferencePair(policy);
        var reward = new FunctionReward(Course.Worth);
        foreach (var sampling in (SamplingOptions[])[new() { Temperature = 0 }, new() { TopK = 3 }, new() { TopP = 0.9 }])
            Assert.Throws<ArgumentException>(() => new PpoTrainer(pair, reward, new PpoOptions { Sampling = sampling }));
        Assert.Throws<ArgumentException>(() => new PpoTrainer(pair, reward, valueModel: policy));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PpoTrainer(pair, reward, new PpoOptions { Gamma = 1.5 }));
        Assert.Throws<ArgumentException>(
            () => new PpoTrainer(pair, reward, new PpoOptions { RolloutSize = 10, Sampling = new() { SamplesPerPrompt = 4 } }));
        Assert.Throws<ArgumentException>(() => new RoundsTrainer(
            pair, reward, options: new RoundsOptions { Training = new TrainingOptions { EvaluateEvery = 3 } }));
    }

    /// <summary>A model of values of its own learns too, and is left to its owner.</summary>
    [Fact]
    public void Values_may_be_a_model_of_their_own()
    {
        using var policy = Course.Policy();
        using var values = policy.WithScalarHead(seed: 1);
        using var pair = new PolicyReferencePair(policy);
        var before = values.Head.Weight!.detach().clone();
        using (var trainer = new PpoTrainer(pair, new FunctionReward(Course.Worth), Course.Ppo(), valueModel: values))
            trainer.Train(Course.Prompts);
        Assert.True((values.Head.Weight! - before).abs().max().item<float>() > 1e-3);
    }

    /// <summary>Log-probabilities are those of what is drawn: at the first update the ratio is 1 and nothing is clipped, at any temperature,
    /// and the KL of the first round is 0.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(0.7)]
    public void The_first_round_begins_at_the_reference(double temperature)
    {
        using var policy = Course.Policy();
        using var pair = new PolicyReferencePair(policy);
        var steps = new List<TrainingMetrics>();
        var options = Course.Ppo(rounds: 1) with
        {
            Epochs = 1,
            MiniBatchSize = null,
            Sampling = Course.Ppo().Sampling with { Temperature = temperature },
        };
        using var trainer = new PpoTrainer(pair, new FunctionReward(Course.Worth), options);
        trainer.Train(Course.Prompts, new Recorder(steps));
        Assert.Equal(0, steps[0]["objective/kl"], 1e-9);
        Assert.Equal(0, steps[0]["approx_kl"], 1e-9);
        Assert.Equal(0, steps[0]["clip_fraction"]);
    }

    private sealed class Stop(Func<int, int> after) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value) => after(value.Step);
    }

    private sealed class Other : IReward
    {
        public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers) => [];
    }
}
