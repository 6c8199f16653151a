using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>An exception cannot leave a backward pass, nor may the passes behind it, of rotations, recomputed blocks and embeddings, be
/// left without a gradient: either ends the process. The gradients are incomplete then, and no update is made of them.</summary>
[Collection(nameof(BackwardFailures))]
public class FailedBackwardTests
{
    private static readonly LlamaConfig Small = new()
    {
        VocabularySize = 40,
        HiddenSize = 16,
        LayerCount = 2,
        HeadCount = 2,
        InnerSize = 32,
        MaxPositions = 24,
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_step_whose_backward_pass_failed_makes_no_update(bool checkpointActivations)
    {
        foreach (var model in (TransformerModel[])[new Gpt2(TrainerTests.Shape with { TieWordEmbeddings = false }, seed: 5), new Llama(Small, seed: 5)])
        {
            using var disposed = model;
            model.CheckpointActivations = checkpointActivations;
            double[] Others() =>
                [.. model.named_parameters().Where(named => named.name != "lm_head.weight").SelectMany(named => named.parameter.flatten().ToDoubles())];
            var before = Others();
            using var trainer = new Trainer(new HeadThatIsGone(model), TrainerTests.Options with { Steps = 1 });
            Assert.ThrowsAny<Exception>(() => trainer.Train(TrainerTests.Data(16).ChosenOnly()));
            Assert.Equal(0, trainer.StepsMade);
            Assert.Equal(before, Others());
            BackwardFailure.Rethrow(); // nothing is left of it
        }
    }

    /// <summary>Between the two passes the head's weight becomes one of too few entries for the targets.</summary>
    private sealed class HeadThatIsGone(TransformerModel model) : LogProbObjective(model)
    {
        public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
        {
            if (part.Policy.PerToken.requires_grad)
            {
                using var noGrad = no_grad();
                Model.Head.Weight!.set_(ones(3, Model.Head.Weight.shape[1]));
            }
            return (-part.Policy.PerToken.sum().DividedBy(whole.CompletionTokens), []);
        }
    }
}
