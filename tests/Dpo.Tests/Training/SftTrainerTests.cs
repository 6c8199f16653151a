using static TorchSharp.torch;

namespace Dpo.Tests;

public class SftTrainerTests
{
    private static readonly TokenizedExample[] Examples =
    [
        new TokenizedExample([1, 2], [[3, 4, 0], [5, 0], [6, 7, 0]], [new(0, 1), new(2, 1), new(0, 2)]).ChosenOnly(),
        new TokenizedExample([8], [[9, 0], [1, 0]], [new(1, 0)]).ChosenOnly(),
    ];

    [Fact]
    public void Chosen_completions_are_kept_once()
    {
        Assert.Equal([[3, 4, 0], [6, 7, 0]], Examples[0].Completions);
        Assert.Equal([[1, 0]], Examples[1].Completions);
        Assert.Empty(Examples[0].Pairs);
        var cached = new TokenizedExample([1], [[2], [3]], [new(1, 0)]) { ReferenceLogProbs = [[-1f], [-2f]] };
        Assert.Null(cached.ChosenOnly().ReferenceLogProbs);
    }

    [Fact]
    public void The_loss_is_the_mean_over_completion_tokens_and_falls()
    {
        using var model = new Gpt2(new Gpt2Config { VocabularySize = 12, MaxPositions = 8, HiddenSize = 16, LayerCount = 1, HeadCount = 2 });
        double expected;
        using (NewDisposeScope())
        using (no_grad())
            expected = -CompletionLogProbs.Compute(model, new PreferenceBatch(Examples).To(CPU)).PerToken.mean().item<float>();
        var steps = new List<TrainingMetrics>();
        using var trainer = new SftTrainer(
            model, new() { LearningRate = 3e-3, Optimizer = OptimizerKind.AdamW, Schedule = LearningRateSchedules.Paper(0), Steps = 60, MicroBatchSize = 1 });

        trainer.Train(new PreferenceData(Examples), progress: new Recorder(steps));

        Numbers.AssertClose(expected, steps[0]["loss"], 1e-6, "first loss");
        // Two completions follow the prompt (1, 2) equally often, so ln 2 per choice, over 8 tokens, is the best there is.
        Assert.InRange(steps[^1]["loss"], 2 * Math.Log(2) / 8, 0.5);
        Assert.Equal(["loss", "grad_norm", "learning_rate", "epoch", "num_tokens"], steps[0].Values.Keys);
    }
}
