namespace Dpo.Tests;

/// <summary>Runs that end where the user wishes, and with the weights that the user wishes.</summary>
public sealed class StopWhenTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static TrainingOptions Options => TrainerTests.Options with { LearningRate = 1e-2, Steps = 9, BatchSize = 4 };

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_run_ends_behind_the_step_as_if_it_had_been_the_last_and_can_go_on()
    {
        var checkpoints = new CheckpointOptions { Folder = folder.File("checkpoints") };
        var shorter = Train(Options with { Steps = 4 });
        var stopped = Train(Options with { StopWhen = step => step.Step == 4, Checkpoints = checkpoints });
        Assert.Equal((4, 4), (stopped.StepsMade, stopped.TotalSteps));
        Assert.Equal(4, stopped.Steps.Count);
        Assert.Equal(shorter.Weights, stopped.Weights);

        var latest = Checkpoints.Latest(checkpoints.Folder);
        Assert.Equal(folder.File("checkpoints/step-000004"), latest);
        var goesOn = Train(Options with { ResumeFrom = latest, Checkpoints = checkpoints });
        Assert.Equal((9, 9), (goesOn.StepsMade, goesOn.TotalSteps));
        Assert.Equal(Train(Options).Weights, goesOn.Weights);
    }

    [Fact]
    public void It_is_asked_of_all_that_is_reported_evaluations_among_it()
    {
        var seen = new List<TrainingMetrics>();
        var run = Train(Options with
        {
            EvaluateEvery = 2,
            StopWhen = step =>
            {
                seen.Add(step);
                return step.Values.ContainsKey("eval_loss");
            },
        });
        Assert.Equal(2, run.StepsMade);
        Assert.Equal(run.Steps, seen);
    }

    /// <summary>A model that is good enough before the first step is not trained.</summary>
    [Fact]
    public void It_is_asked_of_the_evaluation_before_the_first_step_too()
    {
        var run = Train(Options with { EvaluateFirst = true, StopWhen = step => step.HasEvaluation && step["eval_loss"] < 0.7 });
        Assert.Equal((0, 0), (run.StepsMade, run.TotalSteps));
        Assert.Equal(Math.Log(2), Assert.Single(run.Steps)["eval_loss"], 6);
        Assert.Equal(Math.Log(2), run.EvaluatedAfter, 6);
    }

    [Fact]
    public void What_it_throws_reaches_the_caller_and_loses_no_step()
    {
        var checkpoints = new CheckpointOptions { Folder = folder.File("checkpoints") };
        var options = Options with { Checkpoints = checkpoints, StopWhen = step => step.Step < 3 ? false : throw new InvalidOperationException("mine") };
        Assert.Equal("mine", Assert.Throws<InvalidOperationException>(() => Train(options)).Message);
        var latest = Checkpoints.Latest(checkpoints.Folder);
        Assert.Equal(folder.File("checkpoints/step-000003"), latest);

        // The step is reported again, and the question is asked again.
        var again = Train(options with { ResumeFrom = latest, StopWhen = step => step.Step == 3 });
        Assert.Equal(3, Assert.Single(again.Steps).Step);
        Assert.Equal((3, 3), (again.StepsMade, again.TotalSteps));
        Assert.Equal(Train(Options with { Steps = 3 }).Weights, again.Weights);
    }

    [Theory]
    [InlineData(false, new[] { 5, 4, 4, 3, 3.5, 3, 2 }, 2, 6)]
    [InlineData(false, new[] { 5, double.NaN, 4, 4.5, 1 }, 1, 2)]
    [InlineData(true, new[] { 0.5, 0.6, 0.6, 0.2, 0.9 }, 3, null)]
    [InlineData(true, new[] { 0.5, 0.4, 0.6, 0.6, 0.5, 0.3, 0.7 }, 3, 6)]
    public void Patience_is_counted_in_evaluations_that_are_no_better(bool higherIsBetter, double[] values, int patience, int? ends)
    {
        var stop = EarlyStopping.On(new BestMetric("eval_x", higherIsBetter), patience);
        int? ended = null;
        foreach (var (index, value) in values.Index())
        {
            TrainingMetrics Step(string name) => new(index + 1, 99, new Dictionary<string, double> { [name] = value }, TimeSpan.Zero);
            Assert.False(stop(Step("loss")));
            if (stop(Step("eval_x")))
                ended ??= index + 1;
        }
        Assert.Equal(ends, ended);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_best_weights_are_the_model_s_at_the_end(bool withAdapter)
    {
        var options = Options with
        {
            LearningRate = withAdapter ? 1 : 0.3, // which makes it now better, now worse
            Steps = 6,
            EvaluateEvery = 1,
            Checkpoints = new() { Folder = folder.File("checkpoints"), KeepBest = new("eval_loss", HigherIsBetter: withAdapter), LoadBest = true, KeepLast = 1 },
        };
        var run = Train(options, withAdapter);
        var losses = run.Steps.ConvertAll(step => step["eval_loss"]);
        var best = withAdapter ? losses.Max() : losses.Min();
        Assert.NotEqual(best, losses[^1], 1e-4);
        Assert.Equal(best, run.EvaluatedAfter, 1e-6);
        Assert.Equal(losses[^1], Train(options with { Checkpoints = options.Checkpoints with { Folder = folder.File("others"), LoadBest = false } }, withAdapter).EvaluatedAfter, 1e-6);
    }

    [Fact]
    public void The_best_is_of_a_metric() => Assert.StartsWith(
        "LoadBest goes with KeepBest",
        Assert.Throws<ArgumentException>(() => Train(Options with { Checkpoints = new() { Folder = folder.Path, LoadBest = true } })).Message, StringComparison.Ordinal);

    private static (double[] Weights, List<TrainingMetrics> Steps, int StepsMade, int TotalSteps, double EvaluatedAfter) Train(TrainingOptions options, bool withAdapter = false)
    {
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        if (withAdapter)
            model.AddLora(LoraModels.Options);
        using var pair = new PolicyReferencePair(model);
        using var trainer = new DpoTrainer(pair, options: options);
        var steps = new List<TrainingMetrics>();
        trainer.Train(TrainerTests.Data(16), TrainerTests.Data(6), new Recorder(steps));
        return (
            [.. model.parameters().SelectMany(parameter => parameter.detach().flatten().ToDoubles())], steps, trainer.StepsMade, trainer.TotalSteps,
            trainer.Evaluate(TrainerTests.Data(6))["eval_loss"]);
    }
}
