using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The moving reference (TR-DPO) against its closed form.</summary>
public class MoveReferenceTests
{
    private static Gpt2 Model(int seed = 5, bool lora = false)
    {
        var model = new Gpt2(TrainerTests.Shape, seed);
        if (lora)
            model.AddLora(LoraModels.Options);
        return model;
    }

    /// <summary>Adds noise to what is trained, as training would.</summary>
    private static void Disturb(CausalLanguageModel model, int seed)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var generator = new Generator((ulong)seed);
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn(parameter.shape, generator: generator) * 0.1);
    }

    private static Dictionary<string, double[]> Values(IEnumerable<(string Name, Tensor Tensor)> tensors)
    {
        using var scope = NewDisposeScope();
        return tensors.ToDictionary(named => named.Name, named => named.Tensor.detach().flatten().ToDoubles());
    }

    private static Dictionary<string, double[]> PolicyValues(PolicyReferencePair pair) =>
        Values(pair.Policy.named_parameters().Select(named => (named.name, (Tensor)named.parameter)));

    private static double[] Ratios(PolicyReferencePair pair)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var (policy, reference) = pair.LogProbs(new PreferenceBatch(TrainerTests.Data(4).Examples).To(CPU));
        return (policy.Sums - reference.Sums).ToDoubles();
    }

    public static TheoryData<string> Pairs => ["copy", "second", "adapter"];

    private static PolicyReferencePair Pair(string kind) => kind switch
    {
        "copy" => new(Model()),
        "second" => new(Model(), Model(seed: 6)),
        _ => new(Model(lora: true)),
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Weights_are_mixed_and_the_policy_stays(string kind)
    {
        using var pair = Pair(kind);
        Disturb(pair.Policy, 1);
        var expected = Values(pair.ReferenceState());
        foreach (var share in (double[])[0.25, 0.6])
        {
            Disturb(pair.Policy, 2);
            var policy = PolicyValues(pair);
            pair.MoveReference(share);

            Assert.Equal(policy, PolicyValues(pair));
            var actual = Values(pair.ReferenceState());
            foreach (var (name, before) in expected)
            {
                expected[name] = [.. before.Zip(policy.GetValueOrDefault(name, before), (reference, trained) => share * trained + (1 - share) * reference)];
                Numbers.AssertClose(expected[name], actual[name], 1e-6, name);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void The_log_probabilities_follow_and_a_whole_move_brings_rewards_back_to_zero(string kind)
    {
        using var pair = Pair(kind);
        Disturb(pair.Policy, 1);
        var before = Ratios(pair);
        Assert.All(before, ratio => Assert.True(Math.Abs(ratio) > 1e-3));
        pair.MoveReference(0.5);
        Assert.NotEqual(before, Ratios(pair));
        pair.MoveReference(1);
        Assert.All(Ratios(pair), ratio => Assert.Equal(0, ratio));

        // And it is a copy: the policy moves on without it.
        Disturb(pair.Policy, 3);
        Assert.All(Ratios(pair), ratio => Assert.NotEqual(0, ratio));
    }

    private static List<TrainingMetrics> Train(PolicyReferencePair pair, TrainingOptions options, PreferenceData data)
    {
        var steps = new List<TrainingMetrics>();
        using var trainer = new DpoTrainer(pair, options: options);
        trainer.Train(data, progress: new Recorder(steps));
        return steps;
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void The_trainer_moves_it_every_k_steps_after_the_update(string kind)
    {
        var options = TrainerTests.Options with { Steps = 7, LearningRate = 1e-2 };
        using var still = Pair(kind);
        var plain = Train(still, options, TrainerTests.Data(16));
        using var moving = Pair(kind);
        var moved = Train(moving, options with { MoveReferenceEvery = 3, MoveReferenceBy = 1 }, TrainerTests.Data(16));

        Assert.Equal(plain.Take(3).Select(step => step.Values), moved.Take(3).Select(step => step.Values));
        foreach (var step in (int[])[3, 6]) // the 4th step and the 7th
        {
            Numbers.AssertClose(Math.Log(2), moved[step]["loss"], 1e-6, $"step {step + 1}");
            Assert.Equal((0, 0), (moved[step]["rewards/chosen"], moved[step]["rewards/margins"]));
            Assert.NotEqual(0, plain[step]["rewards/margins"]);
            Assert.NotEqual(0, moved[step - 1]["rewards/margins"]);
        }
    }

    [Fact]
    public void What_cannot_be_moved_is_refused()
    {
        using var pair = Pair("copy");
        var options = TrainerTests.Options with { MoveReferenceEvery = 2 };
        var cached = ReferenceLogProbs.Compute(pair, TrainerTests.Data(3));
        using var trainer = new DpoTrainer(pair, options: options);
        foreach (var run in (Action[])[() => trainer.Train(cached), () => trainer.Train(TrainerTests.Data(3), heldOut: cached)])
        {
            Assert.Equal(
                "The reference moves every 2 steps, but the example row 0 carries log-probabilities of the reference as it was; train on data " +
                "without ReferenceLogProbs, or leave MoveReferenceEvery out.",
                Assert.Throws<InvalidOperationException>(run).Message);
        }
        Assert.StartsWith(
            "The loss does without a reference, so there is none to move; leave MoveReferenceEvery out.",
            Assert.Throws<ArgumentException>(() => new DpoTrainer(pair, new SimPoLoss(), options)).Message, StringComparison.Ordinal);
        foreach (var share in (double[])[0, -1, 1.5, double.NaN])
        {
            Assert.Throws<ArgumentOutOfRangeException>("share", () => pair.MoveReference(share));
            Assert.Throws<ArgumentOutOfRangeException>("MoveReferenceBy", () => new DpoTrainer(pair, options: options with { MoveReferenceBy = share }));
        }
        Assert.Throws<ArgumentOutOfRangeException>("MoveReferenceEvery", () => new DpoTrainer(pair, options: options with { MoveReferenceEvery = 0 }));
        pair.ReleaseReference();
        Assert.Equal(
            "The reference was released, so there is none to move; keep it where it is to move.",
            Assert.Throws<InvalidOperationException>(() => pair.MoveReference(0.5)).Message);

        using var unlike = new PolicyReferencePair(Model(lora: true), Model());
        var before = Values(unlike.ReferenceState());
        Assert.StartsWith(
            "Policy and reference do not both have a parameter transformer.h.0.attn.c_attn.lora_A.weight of one shape",
            Assert.Throws<InvalidOperationException>(() => unlike.MoveReference(0.5)).Message, StringComparison.Ordinal);
        Assert.Equal(before, Values(unlike.ReferenceState()));
    }

    [Fact]
    public void Moving_leaves_no_tensor_behind()
    {
        // What earlier tests left to the finalizers must not go while this one counts.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var pair = Pair("copy");
        pair.MoveReference(0.5);
        var count = Tensor.TotalCount;
        for (var time = 0; time < 5; time++)
            pair.MoveReference(0.5);
        Assert.Equal(count, Tensor.TotalCount);
    }

    /// <summary>A checkpoint after a restored one must hold the reference again, though nothing has moved since.</summary>
    [Fact]
    public void A_reference_that_was_restored_has_moved()
    {
        using var moved = Pair("copy");
        Assert.Null(moved.MovedReference);
        Disturb(moved.Policy, 6);
        moved.MoveReference(0.5);
        using var restored = Pair("copy");
        restored.RestoreReference(moved.MovedReference!);
        Assert.Equal(Values(moved.MovedReference!), Values(restored.MovedReference!));
        restored.ReleaseReference();
        Assert.Null(restored.MovedReference);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void A_disposed_pair_holds_no_memory(string kind)
    {
        var pair = Pair(kind);
        Tensor[] all = [.. pair.ReferenceState().Select(named => named.Tensor), .. pair.Policy.parameters()];
        pair.Dispose();
        Assert.All(all, tensor => Assert.True(tensor.IsInvalid));
    }
}
