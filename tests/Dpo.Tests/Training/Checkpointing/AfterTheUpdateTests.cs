using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Nothing that comes after an update can lose it: evaluations, reports, cancellation.</summary>
public sealed class AfterTheUpdateTests : IDisposable
{
    private const int Steps = 6;

    private static readonly PreferenceData data = TrainerTests.Data(12);
    private static readonly PreferenceData heldOut = TrainerTests.Data(9, seed: 1);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static TrainingOptions Options(string folder) => TrainerTests.Options with
    {
        Steps = Steps,
        BatchSize = 5,
        MicroBatchSize = 2,
        LearningRate = 1e-2,
        EvaluateEvery = 3,
        Checkpoints = new() { Folder = Path.Combine(folder, "checkpoints"), Every = 4, KeepBest = new("eval_loss") },
        ResumeFrom = Checkpoints.Latest(Path.Combine(folder, "checkpoints")),
    };

    /// <summary>Trains a model made anew, with all files of metrics, going on where the folder has a checkpoint.</summary>
    /// <returns>How many steps were made, of how many.</returns>
    private static (int Made, int All) Train(string folder, Action<TrainingMetrics>? report = null, Probe? loss = null, CancellationToken cancellation = default)
    {
        // A model that is made draws from the process's generator, whose state is part of a checkpoint.
        manual_seed(7);
        var options = Options(folder);
        using var own = new Probe();
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, loss ?? own, options);
        using var metrics = new MetricsFile(folder, Checkpoints.LastReportedStep(options.ResumeFrom));
        try
        {
            trainer.Train(data, heldOut, new TrainerTests.Callback(step =>
            {
                report?.Invoke(step);
                metrics.Report(step);
            }), cancellation);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            Assert.Equal((e as OperationCanceledException)?.CancellationToken ?? cancellation, cancellation);
        }
        return (trainer.StepsMade, trainer.TotalSteps);
    }

    private static string Newest(string folder) => Path.GetFileName(Checkpoints.Latest(Path.Combine(folder, "checkpoints")))!;

    private void AssertEndsAsTheUndisturbedRun(string disturbed)
    {
        Train(folder.File("whole"));
        Assert.Equal((Steps, Steps), Train(disturbed));
        foreach (var name in (string[])["metrics.jsonl", "metrics.csv", "checkpoints/step-000006/model.safetensors", "checkpoints/step-000006/state.json"])
            Assert.Equal(File.ReadAllText(folder.File($"whole/{name}")), File.ReadAllText(Path.Combine(disturbed, name)));
        Assert.Equal(Path.GetFileName(Checkpoints.Best(folder.File("whole/checkpoints"))), Path.GetFileName(Checkpoints.Best(Path.Combine(disturbed, "checkpoints"))));
    }

    /// <summary>Files of earlier versions are gone on with: their name for what is still to be reported stays.</summary>
    [Fact]
    public void A_checkpoint_marks_its_step_as_unreported_under_the_name_of_its_format()
    {
        var state = new CheckpointState(
            CheckpointState.CurrentVersion, new(4) { Unreported = new(new Dictionary<string, double> { ["loss"] = double.NaN }, 1.5) }, 0,
            new Dictionary<string, string>(), new Dictionary<string, string>());
        var checkpoint = CheckpointFolder.Write(folder.Path, state, _ => { });
        Assert.Contains(
            "\"untold\": {\n      \"values\": {\n        \"loss\": \"NaN\"\n      },\n      \"seconds\": 1.5\n    }\n",
            File.ReadAllText(Path.Combine(checkpoint, "state.json")), StringComparison.Ordinal);
        Assert.Equal(3, Checkpoints.LastReportedStep(checkpoint));
    }

    /// <summary>At the last step and at others, where a checkpoint is due (4, 6) and where none is.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(6)]
    public void A_report_that_throws_leaves_its_steps_checkpoint_and_the_run_goes_on_from_it(int step)
    {
        var made = Train(folder.File("run"), report: metrics =>
        {
            if (metrics.Step == step)
                throw new TimeoutException();
        });
        Assert.Equal((step, Steps), made);
        Assert.Equal($"step-{step:000000}", Newest(folder.File("run")));
        Assert.Equal(step - 1, step == 1 ? 0 : File.ReadAllLines(folder.File("run/metrics.jsonl")).Length);
        AssertEndsAsTheUndisturbedRun(folder.File("run"));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(6)]
    public void An_evaluation_that_throws_leaves_its_steps_checkpoint_and_the_run_goes_on_from_it(int step)
    {
        var evaluations = 0;
        using var loss = new Probe { Evaluating = () => _ = evaluations++ < 0 ? throw new TimeoutException() : 0 };
        Train(folder.File("count"), loss: loss);
        var atLast = evaluations;
        // What is tried out before the first step comes in front, and both evaluations are alike.
        var failing = step == Steps ? atLast : atLast / 2 + 1;
        evaluations = 0;
        loss.Evaluating = () => _ = ++evaluations == failing ? throw new TimeoutException() : 0;
        Assert.Equal((step, Steps), Train(folder.File("run"), loss: loss));
        Assert.Equal($"step-{step:000000}", Newest(folder.File("run")));
        AssertEndsAsTheUndisturbedRun(folder.File("run"));
    }

    /// <summary>Whatever ends the process in the report, the step is on the disk.</summary>
    [Fact]
    public void The_checkpoint_is_on_the_disk_before_the_report()
    {
        var newest = new List<string?>();
        Train(folder.File("run"), report: _ => newest.Add(Path.GetFileName(Checkpoints.Latest(folder.File("run/checkpoints")))));
        Assert.Equal("step-000004", newest[3]);
        Assert.Equal("step-000006", newest[5]);
    }

    /// <summary>A step that is not told yet may have to be told anew; until it is, the checkpoint before it stays.</summary>
    [Fact]
    public void The_checkpoint_before_goes_once_the_next_ones_step_is_told()
    {
        var checkpoints = new CheckpointOptions { Folder = folder.File("checkpoints"), Every = 2, KeepLast = 1 };
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options with { Steps = 4, Checkpoints = checkpoints });
        var kept = new List<string>();
        trainer.Train(data, progress: new TrainerTests.Callback(_ => kept.Add(Steps())));
        Assert.Equal(["", "2", "2", "4 2"], kept);
        Assert.Equal("4", Steps());

        string Steps() => string.Join(' ', CheckpointFolder.List(checkpoints.Folder).Select(entry => entry.Step));
    }

    [Fact]
    public void Cancellation_ends_an_evaluation_and_the_run_goes_on_from_its_step()
    {
        using var cancellation = new CancellationTokenSource();
        var evaluations = 0;
        using var loss = new Probe();
        loss.Evaluating = () =>
        {
            // The first two are the trying out.
            if (++evaluations == 3)
                cancellation.Cancel();
        };
        Assert.Equal((3, Steps), Train(folder.File("run"), loss: loss, cancellation: cancellation.Token));
        Assert.Equal(3, evaluations); // the held-out data are several micro-batches
        Assert.Equal("step-000003", Newest(folder.File("run")));
        AssertEndsAsTheUndisturbedRun(folder.File("run"));
    }

    /// <summary>Also where a loss couples the parts of a batch, which are then computed together.</summary>
    [Theory]
    [InlineData("sigmoid")]
    [InlineData("aot")]
    public void An_evaluation_by_itself_can_be_cancelled(string loss)
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, new LossOptions { Names = [loss] }.Create(), TrainerTests.Options with { BatchSize = 100, MicroBatchSize = 2 });
        Assert.Throws<OperationCanceledException>(() => trainer.Evaluate(heldOut, new CancellationToken(canceled: true)));
    }

    /// <summary>DPO's loss, which tells where it measures without training.</summary>
    private sealed class Probe : PairLoss, IDisposable
    {
        private readonly DpoLoss dpo = new(0.1);

        public Action Evaluating { get; set; } = () => { };

        public override double Beta => 0.1;

        public void Dispose() => dpo.Dispose();

        public override Tensor Losses(PairLogProbs pairs)
        {
            if (!is_grad_enabled())
                Evaluating();
            return dpo.Losses(pairs);
        }
    }
}
