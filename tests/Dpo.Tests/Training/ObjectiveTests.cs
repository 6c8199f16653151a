using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What a trainer does for an objective of one's own; PackageTests tries one from outside.</summary>
public sealed class ObjectiveTests : IDisposable
{
    private static readonly TrainingOptions options = TrainerTests.Options with { Steps = 6, LearningRate = 1e-2, BatchSize = 4 };

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Its_own_tensors_go_into_checkpoints_and_come_back()
    {
        var whole = Train(new Centred(Model()), options);
        var checkpoints = new CheckpointOptions { Folder = folder.File("checkpoints") };
        Train(new Centred(Model()), options with { Steps = 3, Checkpoints = checkpoints });
        var state = Path.Combine(Checkpoints.Latest(checkpoints.Folder)!, "reference.safetensors");
        using (var file = new SafetensorsReader(state))
            Assert.Equal(["centre"], file.Names);

        var resumed = new Centred(Model());
        var goesOn = options with { Checkpoints = checkpoints, ResumeFrom = Checkpoints.Latest(checkpoints.Folder) };
        Assert.Equal(whole, Train(resumed, goesOn));
        Assert.Equal(6, resumed.Centre.item<float>(), 1e-6);
    }

    [Fact]
    public void A_run_does_not_go_on_under_another_objective()
    {
        var checkpoints = new CheckpointOptions { Folder = folder.File("checkpoints") };
        Train(new Centred(Model()), options with { Steps = 3, Checkpoints = checkpoints });
        var goesOn = options with
        {
            Checkpoints = checkpoints,
            ResumeFrom = Checkpoints.Latest(checkpoints.Folder),
            ResumeWithChanges = true,
        };
        var refused = Assert.Throws<InvalidInputException>(() => Train(new OneTooMany(Model(), named: 1), goesOn));
        Assert.Contains(
            " belongs to another run: the trainer Centred then, OneTooMany now. ", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>Before the first step, where it is a function of log-probabilities.</summary>
    [Fact]
    public void Metrics_without_a_name_are_refused() => Assert.Equal(
        "OneTooMany.Measure gave 1 metrics, and Metrics names 0.",
        Assert.Throws<InvalidOperationException>(() => Train(new OneTooMany(Model(), named: 0), options)).Message);

    /// <summary>1 for each of 26 completions, over the number of pairs, 18, is not rounded in between, however the batch was
    /// cut.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    public void A_metric_with_a_count_is_a_sum_over_it(int microBatchSize)
    {
        using var trainer = new Trainer(
            new Centred(Model()), options with { BatchSize = 100, MicroBatchSize = microBatchSize, Steps = 1 });
        var steps = new List<TrainingMetrics>();
        trainer.Train(TrainerTests.Data(8), progress: new Recorder(steps));
        Assert.Equal(26.0 / 18, steps[0]["completions_a_pair"]);
    }

    [Fact]
    public void A_reference_of_other_weights_is_refused_by_name()
    {
        using var pair = new PolicyReferencePair(Model());
        (string, Tensor)[] Moved(string name) => [(name, zeros(3))];
        Assert.Equal(
            "The checkpoint's reference has other [3], and this one has not.",
            Assert.Throws<InvalidInputException>(() => pair.RestoreReference(Moved("other"))).Message);
        var lacking = Assert.Throws<InvalidInputException>(() => pair.RestoreReference([])).Message;
        Assert.StartsWith("The checkpoint's reference lacks ", lacking, StringComparison.Ordinal);
    }

    private static Gpt2 Model() => new(TrainerTests.Shape, seed: 5);

    private static double[] Train(Objective objective, TrainingOptions options)
    {
        using var trainer = new Trainer(objective, options);
        trainer.Train(TrainerTests.Data(12));
        return [.. objective.Model.parameters().SelectMany(parameter => parameter.detach().flatten().ToDoubles())];
    }

    /// <summary>Draws log-probabilities to a centre that every step moves by 1.</summary>
    private sealed class Centred(CausalLanguageModel model) : LogProbObjective(model)
    {
        public Tensor Centre { get; } = zeros(1);

        public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) => [new("completions_a_pair", whole.Pairs)];

        public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole) =>
            ((part.Policy.Sums + Centre).square().sum() / whole.Pairs, [ones_like(part.Policy.Sums).sum()]);

        public override void AfterUpdate(int stepsMade) => Centre.add_(1);

        public override IEnumerable<(string Name, Tensor Tensor)> State() => [("centre", Centre)];

        public override void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
        {
            foreach (var (_, tensor) in state)
                Centre.copy_(tensor);
        }
    }

    private sealed class OneTooMany(CausalLanguageModel model, int named) : LogProbObjective(model)
    {
        public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) =>
            [.. Enumerable.Range(0, named).Select(index => new Metric($"metric_{index}"))];

        public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole) =>
            (part.Policy.Sums.sum(), [part.Policy.Sums.detach().sum()]);
    }
}
