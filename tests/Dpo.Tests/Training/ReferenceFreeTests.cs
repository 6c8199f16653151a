using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Losses that do without a reference train the policy alone.</summary>
public class ReferenceFreeTests
{
    private static readonly TrainingOptions training = TrainerTests.Options with { MicroBatchSize = 5, DetailedMetrics = true };

    private static IPreferenceLoss Loss(string names) => new LossOptions { Names = names.Split(' '), Weights = [.. names.Split(' ').Select(_ => 1.0)] }.Create();

    private static (List<TrainingMetrics> Steps, double[][] Weights) Train(DpoTrainer trainer, Gpt2 model)
    {
        var steps = new List<TrainingMetrics>();
        using (trainer)
            trainer.Train(TrainerTests.Data(16), TrainerTests.Data(4, seed: 1), new Recorder(steps));
        return (steps, [.. model.parameters().Select(parameter => parameter.detach().flatten().ToDoubles())]);
    }

    [Theory]
    [InlineData("simpo")]
    [InlineData("orpo")]
    [InlineData("simpo sft")]
    [InlineData("unlikelihood")]
    public void The_policy_alone_trains_as_in_a_pair_and_no_weight_is_copied(string names)
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        var expected = Train(new DpoTrainer(pair, Loss(names), training), (Gpt2)pair.Policy);

        using var policy = new Gpt2(TrainerTests.Shape, seed: 5);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        var trainer = new DpoTrainer(policy, Loss(names), training);
        Assert.Equal(before, Tensor.TotalCount);
        var actual = Train(trainer, policy);
        Assert.Equal(expected.Steps.Select(step => step.Values), actual.Steps.Select(step => step.Values));
        Assert.Equal(expected.Weights, actual.Weights);
    }

    /// <summary>A pair's reference is not run for a loss that has no use for it: there may be none any more.</summary>
    [Fact]
    public void A_pair_whose_reference_was_released_trains_by_a_loss_that_needs_none()
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        pair.ReleaseReference();
        var (steps, weights) = Train(new DpoTrainer(pair, Loss("simpo"), training), (Gpt2)pair.Policy);
        using var policy = new Gpt2(TrainerTests.Shape, seed: 5);
        var expected = Train(new DpoTrainer(policy, Loss("simpo"), training), policy);
        Assert.Equal(expected.Steps.Select(step => step.Values), steps.Select(step => step.Values));
        Assert.Equal(expected.Weights, weights);
    }

    [Fact]
    public void A_loss_that_needs_a_reference_is_refused()
    {
        using var policy = new Gpt2(TrainerTests.Shape, seed: 5);
        foreach (var loss in (IPreferenceLoss[])[new DpoLoss(), new CombinedLoss((new SimPoLoss(), 1), (new IpoLoss(), 1))])
        {
            var exception = Assert.Throws<ArgumentException>(() => new DpoTrainer(policy, loss));
            Assert.StartsWith(
                $"{loss.GetType().Name} compares the policy with a reference; make a PolicyReferencePair of the policy, and give that instead.", exception.Message,
                StringComparison.Ordinal);
        }
        var moves = Assert.Throws<ArgumentException>(() => new DpoTrainer(policy, new SimPoLoss(), training with { MoveReferenceEvery = 2 }));
        Assert.StartsWith("The loss does without a reference, so there is none to move;", moves.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_of_ones_own_is_put_into_evaluation_mode_as_in_a_pair()
    {
        using var model = new LogitsModel(nn.Sequential(("tokens", nn.Embedding(40, 8)), ("drop", nn.Dropout(0.5)), ("head", nn.Linear(8, 40))));
        using var trainer = new DpoTrainer(model, new OrpoLoss());
        Assert.All(model.modules(), module => Assert.False(module.training));
    }
}
