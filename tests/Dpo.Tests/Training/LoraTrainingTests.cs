using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Training with an adapter: what the reference is, and what changes.</summary>
public class LoraTrainingTests
{
    private static readonly TrainingOptions training = TrainerTests.Options with { LearningRate = 1e-2, Steps = 25 };

    private static Gpt2 Policy(LoraOptions? options = null)
    {
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        model.AddLora(options ?? LoraModels.Options);
        return model;
    }

    private static List<TrainingMetrics> Train(PolicyReferencePair pair, TrainingOptions? options = null)
    {
        var steps = new List<TrainingMetrics>();
        using var trainer = new DpoTrainer(pair, options: options ?? training);
        trainer.Train(TrainerTests.Data(16), progress: new Recorder(steps));
        return steps;
    }

    private static double[] Reference(PolicyReferencePair pair)
    {
        using var scope = NewDisposeScope();
        return pair.LogProbsOfReference(new PreferenceBatch(TrainerTests.Data(3).Examples).To(CPU)).PerToken.ToDoubles();
    }

    private static double[] LogProbs(CausalLanguageModel model)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return CompletionLogProbs.Compute(model, new PreferenceBatch(TrainerTests.Data(3).Examples).To(CPU)).PerToken.ToDoubles();
    }

    private static void AssertStartsAtZero(TrainingMetrics first)
    {
        Numbers.AssertClose(Math.Log(2), first["loss"], 1e-6, "loss");
        Assert.Equal((0, 0, 0, 0), (first["rewards/chosen"], first["rewards/rejected"], first["rewards/margins"], first["rewards/accuracies"]));
    }

    [Theory]
    [InlineData(OptimizerKind.RmsProp, false, 0)]
    [InlineData(OptimizerKind.AdamW, true, 0)]
    [InlineData(OptimizerKind.RmsProp, true, 0.2)]
    public void With_a_new_adapter_the_reference_is_the_model_without_it_and_only_the_adapter_is_trained(
        OptimizerKind optimizer, bool bf16, double dropout)
    {
        using var model = Policy(LoraModels.Options with { BaseInBFloat16 = bf16, Dropout = dropout });
        using var pair = new PolicyReferencePair(model);
        using var plain = new Gpt2(TrainerTests.Shape, seed: 5);
        if (!bf16)
            Assert.Equal(LogProbs(plain), Reference(pair));
        var (before, reference) = (LoraModels.Values(model), Reference(pair));

        var steps = Train(pair, training with { Optimizer = optimizer });

        AssertStartsAtZero(steps[0]);
        // Small, because the frozen output head is that of a new model; without dropout, which moves that of a step by as much.
        using (var trainer = new DpoTrainer(pair, options: training))
            Assert.InRange(trainer.Evaluate(TrainerTests.Data(16))["eval_rewards/margins"], 0.005, 1);
        Assert.Equal(reference, Reference(pair));
        Assert.NotEqual(reference, LogProbs(model));
        foreach (var (name, values) in LoraModels.Values(model))
        {
            if (LoraModels.IsAdapter(name))
                Assert.NotEqual(before[name], values);
            else
                Assert.Equal(before[name], values);
        }
    }

    /// <summary>Supervised fine-tuning with an adapter, then DPO of that adapter.</summary>
    [Fact]
    public void With_a_loaded_adapter_the_reference_is_the_model_with_it()
    {
        using var folder = new TemporaryFolder();
        using (var tuned = Policy())
        {
            using var trainer = new SftTrainer(tuned, training);
            trainer.Train(TrainerTests.Data(16).ChosenOnly());
            tuned.SaveAdapter(folder.Path);
        }
        using var plain = new Gpt2(TrainerTests.Shape, seed: 5);
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        model.LoadAdapter(folder.Path);
        using var pair = new PolicyReferencePair(model);
        var reference = LogProbs(model);
        Assert.NotEqual(LogProbs(plain), reference);
        Assert.Equal(reference, Reference(pair));
        var steps = Train(pair);
        AssertStartsAtZero(steps[0]);
        Assert.Equal(reference, Reference(pair));
        Assert.NotEqual(reference, LogProbs(model));
    }

    [Fact]
    public void The_pair_copies_the_adapter_alone_and_keeps_its_dropout()
    {
        using var dropping = Policy(LoraModels.Options with { Dropout = 0.1 });
        var before = Tensor.TotalCount;
        var pair = new PolicyReferencePair(dropping);
        Assert.Equal(before + 2 * 8, Tensor.TotalCount);
        Assert.True(dropping.training);
        pair.ReleaseReference();
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void A_merged_policy_has_no_reference()
    {
        const string Message = "The policy's adapter is merged, so that the reference cannot be told from it; call UnmergeAdapter first, or save the merged model and load that.";
        using var model = Policy();
        using var pair = new PolicyReferencePair(model);
        Train(pair);
        var expected = Reference(pair);
        model.MergeAdapter();
        Assert.Equal(Message, Assert.Throws<InvalidOperationException>(() => Reference(pair)).Message);
        Assert.Equal(Message, Assert.Throws<InvalidOperationException>(() => new PolicyReferencePair(model)).Message);
        model.UnmergeAdapter();
        Assert.Equal(expected, Reference(pair));
        Assert.True(Train(pair)[0]["rewards/margins"] > 0); // goes on
    }

    [Fact]
    public void Training_leaves_no_tensor_behind()
    {
        using var model = Policy(LoraModels.Options with { Dropout = 0.1, BaseInBFloat16 = true });
        model.CheckpointActivations = true;
        using var pair = new PolicyReferencePair(model);
        using var trainer = new DpoTrainer(pair, options: training with { Steps = 2 });
        trainer.Train(TrainerTests.Data(16)); // makes the optimizer's state
        TensorCount.AssertFlat(() => trainer.Train(TrainerTests.Data(16)));
    }

    [Fact]
    public void Reference_values_in_a_file_are_those_of_this_adapter()
    {
        using var folder = new TemporaryFolder();
        var data = TrainerTests.Data(4);
        PolicyReferencePair Pair(int seed, double alpha)
        {
            var model = Policy(LoraModels.Options with { Alpha = alpha });
            LoraModels.Disturb(model, seed);
            return new PolicyReferencePair(model);
        }
        var path = folder.File("reference.safetensors");
        using (var pair = Pair(seed: 1, alpha: 8))
        {
            ReferenceLogProbs.LoadOrCompute(path, pair, data);
            Train(pair); // the policy's weights are not part of the key
            ReferenceLogProbs.Load(path, pair, data);
        }
        string Refusal(PolicyReferencePair pair)
        {
            using (pair)
                return Assert.Throws<InvalidInputException>(() => ReferenceLogProbs.Load(path, pair, data)).Message;
        }
        Assert.Contains("other weights", Refusal(Pair(seed: 2, alpha: 8)), StringComparison.Ordinal);
        Assert.Contains("another model configuration", Refusal(Pair(seed: 1, alpha: 16)), StringComparison.Ordinal);
    }
}
