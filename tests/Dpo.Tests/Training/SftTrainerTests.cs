using static TorchSharp.torch;

namespace Dpo.Tests;

public class SftTrainerTests
{
    private static readonly TokenizedExample[] Examples =
    [
        new TrainingExample([1, 2], [[3, 4, 0], [5, 0], [6, 7, 0]], [new(0, 1), new(2, 1), new(0, 2)]).ChosenOnly(),
        new TrainingExample([8], [[9, 0], [1, 0]], [new(1, 0)]).ChosenOnly(),
    ];

    [Fact]
    public void Chosen_completions_are_kept_once()
    {
        Assert.Equal([[3, 4, 0], [6, 7, 0]], Examples[0].Completions);
        Assert.Equal([[1, 0]], Examples[1].Completions);
        Assert.Empty(Examples[0].Pairs);
        var cached = new TrainingExample([1], [[2], [3]], [new(1, 0)]) { ReferenceLogProbs = [[-1f], [-2f]] };
        Assert.Null(new PreferenceData([cached]).ChosenOnly().Examples[0].ReferenceLogProbs);
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

    public static TheoryData<TrainingExample> NotOnlyChosen =>
    [
        new([1], [[2], [3]], [new(0, 1)]),
        new([1], [[2], [3]], []) { Ranking = [1, 0] },
        new([1], [[2], [3]], []) { Labels = [true, false] },
        new([1], [[2], [3]], []) { Labels = [true], MismatchedCount = 1 },
    ];

    [Theory]
    [MemberData(nameof(NotOnlyChosen))]
    public void Data_with_other_completions_than_chosen_ones_are_refused(TrainingExample example)
    {
        using var model = new Gpt2(TrainerTests.Shape, seed: 5);
        using var trainer = new SftTrainer(model, TrainerTests.Options with { Steps = 1 });
        var data = new PreferenceData([Examples[0], example with { Source = "train.jsonl:7" }]);
        const string Message = "The example train.jsonl:7 holds completions that are not to be imitated (of pairs, of a ranking, labelled undesirable, " +
            "or of other prompts), and fine-tuning trains on every completion; train on PreferenceData.ChosenOnly().";
        Assert.Equal(Message, Assert.Throws<InvalidInputException>(() => trainer.Train(data)).Message);
        Assert.Equal(Message, Assert.Throws<InvalidInputException>(() => trainer.Train(data.ChosenOnly(), data)).Message);
        trainer.Train(data.ChosenOnly());
        trainer.Train(new PreferenceData([new([1], [[2], [3]], []) { Labels = [true, true] }]));
    }
}
