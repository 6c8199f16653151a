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

    /// <summary>A program that goes on with other options is told which, and may be allowed to.</summary>
    [Fact]
    public void Changed_options_are_refused_by_name_or_allowed()
    {
        void Ppo(PpoOptions options)
        {
            using var policy = Course.Policy();
            using var pair = new PolicyReferencePair(policy);
            using var trainer = new PpoTrainer(pair, new FunctionReward(Course.Worth), options with
            {
                Checkpoints = new() { Folder = folder.Path },
                ResumeFrom = Checkpoints.Latest(folder.Path),
            });
            trainer.Train(Course.Prompts);
        }
        Ppo(Course.Ppo(rounds: 1));
        var changed = Course.Ppo(rounds: 2) with { Lambda = 0.9, Sampling = Course.Ppo().Sampling with { EndOfTextIds = [1] } };
        var refused = Assert.Throws<InvalidInputException>(() => Ppo(changed)).Message;
        Assert.Contains(
            "was written under other options: Sampling.EndOfTextIds [0] then, [1] now; Lambda 0.95 then, 0.9 now.", refused,
            StringComparison.Ordinal);
        Ppo(changed with { ResumeWithChanges = true });
        Assert.EndsWith("step-000002", Checkpoints.Latest(folder.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void Another_reward_model_is_another_run()
    {
        using var policy = Course.Policy();
        using var one = new RewardModel(policy.WithScalarHead(seed: 1));
        using var other = new RewardModel(policy.WithScalarHead(seed: 2));
        Course.Run(isPpo: true, folder.Path, rounds: 1, reward: one);
        Course.Run(isPpo: true, folder.Path, rounds: 2, reward: one);
        Assert.Contains(
            "belongs to another run: the reward model ",
            Assert.Throws<InvalidInputException>(() => Course.Run(isPpo: true, folder.Path, rounds: 3, reward: other)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_KL_s_weight_and_the_learning_rate_follow_the_rounds()
    {
        using var policy = Course.Policy();
        using var pair = new PolicyReferencePair(policy);
        var steps = new List<TrainingMetrics>();
        var options = Course.Ppo(rounds: 4) with { KlHorizon = 100, Schedule = LearningRateSchedules.Linear(0) };
        using var trainer = new PpoTrainer(pair, new FunctionReward(Course.Worth), options);
        trainer.Train(Course.Prompts, new Recorder(steps));
        Assert.Equal([1e-2, 7.5e-3, 5e-3, 2.5e-3], steps.Select(step => Math.Round(step["learning_rate"], 9)));
        Assert.Equal(0.05, steps[0]["kl_coefficient"]);
        foreach (var (now, next) in steps.Zip(steps.Skip(1)))
            Assert.Equal(
                now["kl_coefficient"] * (1 + (Math.Clamp((now["objective/kl"] / 3) - 1, -0.2, 0.2) * 16 / 100)),
                next["kl_coefficient"], 1e-12);
    }

    [Fact]
    public void A_moved_reference_is_the_policy_of_the_round_s_end()
    {
        double Gap(bool moves)
        {
            using var policy = Course.Policy();
            using var pair = new PolicyReferencePair(policy);
            using var trainer = new RoundsTrainer(
                pair, new FunctionReward(Course.Worth), options: Course.Rounds(rounds: 2) with { MoveReference = moves });
            trainer.Train(Course.Prompts);
            float[] Weights(CausalLanguageModel model) =>
                [.. model.parameters().SelectMany(weight => weight.detach().flatten().data<float>().ToArray())];
            var own = Weights(policy);
            return own.Zip(pair.WithReference(Weights), (one, other) => Math.Abs(one - other)).Max();
        }
        Assert.Equal(0, Gap(moves: true));
        Assert.True(Gap(moves: false) > 1e-3);
    }

    [Fact]
    public void Each_pass_takes_every_prompt_once()
    {
        var prompts = new RoundPrompts(Course.Prompts, count: 4, seed: 3);
        var places = Enumerable.Range(0, 5).SelectMany(prompts.Of).ToArray();
        Assert.Equal(Enumerable.Range(0, 10), places[..10].Order());
        Assert.Equal(Enumerable.Range(0, 10), places[10..].Order());
        Assert.NotEqual(places[..10], places[10..]);
        Assert.Equal(5, Enumerable.Range(0, 5).Select(prompts.SeedOf).Distinct().Count());
    }

    /// <summary>What a prompt begins with is a token, and none of its text.</summary>
    [Fact]
    public void Rewards_read_prompts_without_special_tokens()
    {
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", "gpt2"), bos: true);
        var ids = tokenizer.EncodePrompt("The film");
        Assert.Equal(tokenizer.EndOfTextId, ids[0]); // the fixture's one token for both ends
        var prompts = new List<string?>();
        var reads = new FunctionReward(answer => { prompts.Add(answer.Prompt); return 0; });
        BestOfN.Sample(policy, [ids], reads, new() { MaxNewTokens = 2 }, tokenizer);
        Assert.Equal(["The film"], prompts);
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
