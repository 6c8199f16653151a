using Microsoft.Extensions.Logging;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What goes wrong outside is told by name, and no good checkpoint is lost.</summary>
public class CheckpointFaultTests
{
    private static readonly PreferenceData data = TrainerTests.Data(12);

    private static TrainingOptions Options(string folder) => TrainerTests.Options with
    {
        Steps = 6,
        BatchSize = 5,
        LearningRate = 1e-2,
        Checkpoints = new() { Folder = folder, Every = 2 },
    };

    /// <summary>Trains a model made anew.</summary>
    private static List<TrainingMetrics> Train(
        TrainingOptions options, PreferenceData? on = null, int seed = 5, IPreferenceLoss? loss = null, ILogger? logger = null,
        Action<TrainingMetrics>? progress = null, IReadOnlyDictionary<string, PreferenceData>? heldOut = null)
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed));
        using var trainer = new DpoTrainer(pair, loss, options, logger: logger);
        var steps = new List<TrainingMetrics>();
        var report = new TrainerTests.Callback(step =>
        {
            steps.Add(step);
            progress?.Invoke(step);
        });
        if (heldOut is null)
            trainer.Train(on ?? data, progress: report);
        else
            trainer.Train(on ?? data, heldOut, report);
        return steps;
    }

    private static string Refusal(TrainingOptions options, PreferenceData? on = null, int seed = 5, IPreferenceLoss? loss = null) =>
        Assert.Throws<InvalidInputException>(() => Train(options, on, seed, loss)).Message;

    private static string[] Names(string folder) => [.. CheckpointFolder.List(folder).Select(entry => Path.GetFileName(entry.Path))];

    [Fact]
    public void A_changed_byte_anywhere_is_refused_by_the_name_of_its_file()
    {
        using var folder = new TemporaryFolder();
        Train(Options(folder.Path));
        var checkpoint = Checkpoints.Latest(folder.Path)!;
        var random = new Random(1);
        var files = Directory.GetFiles(checkpoint);
        Assert.Equal(
            ["config.json", "model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"],
            files.Select(Path.GetFileName).Order(StringComparer.Ordinal));
        foreach (var file in files)
        {
            var bytes = File.ReadAllBytes(file);
            // Ends and beginnings, where formats keep what they are read by, and anywhere.
            int[] places = [0, 8, bytes.Length - 1, bytes.Length - 4, .. Enumerable.Range(0, 25).Select(_ => random.Next(bytes.Length))];
            foreach (var place in places)
            {
                var damaged = bytes.ToArray();
                damaged[place] ^= (byte)(1 << random.Next(8));
                File.WriteAllBytes(file, damaged);
                Assert.StartsWith($"{file} is damaged or was e", Assert.Throws<InvalidInputException>(() => CheckpointFolder.Verify(checkpoint)).Message, StringComparison.Ordinal);
            }
            File.WriteAllBytes(file, bytes[..random.Next(bytes.Length)]);
            Assert.StartsWith($"{file} is damaged", Refusal(Options(folder.Path) with { ResumeFrom = checkpoint }), StringComparison.Ordinal);
            File.Delete(file);
            Assert.Contains(Path.GetFileName(file), Refusal(Options(folder.Path) with { ResumeFrom = checkpoint }), StringComparison.Ordinal);
            File.WriteAllBytes(file, bytes);
        }
        CheckpointFolder.Verify(checkpoint); // whole again
    }

    [Theory]
    [InlineData("state.json")]
    [InlineData("optimizer.safetensors")]
    public async Task A_pipe_in_the_place_of_a_file_is_refused_without_waiting(string name)
    {
        if (OperatingSystem.IsWindows())
            return; // has none in folders
        using var folder = new TemporaryFolder();
        Train(Options(folder.Path));
        var path = Path.Combine(Checkpoints.Latest(folder.Path)!, name);
        File.Delete(path);
        RegularFileTests.MakePipe(path);
        Assert.StartsWith(
            $"{path} is a pipe or a device, which has no length; give a regular file.",
            await RegularFileTests.RefusalOf(() => Checkpoints.Latest(folder.Path)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_another_checkpoint_is_refused()
    {
        using var folder = new TemporaryFolder();
        Train(Options(folder.Path));
        var checkpoint = Checkpoints.Latest(folder.Path)!;
        var optimizer = Path.Combine(checkpoint, "optimizer.safetensors");
        File.Copy(Path.Combine(folder.Path, "step-000004", "optimizer.safetensors"), optimizer, overwrite: true);
        Assert.Equal($"{optimizer} is damaged or was exchanged: its checksum is not the one in state.json.", Refusal(Options(folder.Path) with { ResumeFrom = checkpoint }));
    }

    [Fact]
    public void An_earlier_checkpoint_stands_in_for_a_damaged_one_only_where_it_is_asked_for()
    {
        using var folder = new TemporaryFolder();
        Assert.Null(Checkpoints.Latest(folder.File("none")));
        Train(Options(folder.Path));
        var state = folder.File("step-000006/state.json");
        File.WriteAllText(state, File.ReadAllText(state).Replace("\"step\": 6", "\"step\": 5", StringComparison.Ordinal));
        Assert.Equal(
            $"{state} is damaged or was edited: its checksum is not that of what it holds. The newest checkpoint that is whole is " +
            $"{folder.File("step-000004")}; move the damaged ones away to resume from it.",
            Assert.Throws<InvalidInputException>(() => Checkpoints.Latest(folder.Path)).Message);
        Assert.Equal(folder.File("step-000004"), Checkpoints.Latest(folder.Path, orEarlier: true));
        File.Delete(folder.File("step-000004/model.safetensors"));
        Assert.EndsWith($"No checkpoint in {folder.Path} is whole.", Assert.Throws<InvalidInputException>(() => Checkpoints.Latest(folder.Path, orEarlier: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_taken_back_writes_its_own_course()
    {
        using var folder = new TemporaryFolder();
        Train(Options(folder.Path) with { Checkpoints = new() { Folder = folder.Path, Every = 2, KeepLast = 3 } });
        Assert.Equal(["step-000006", "step-000004", "step-000002"], Names(folder.Path));
        var changed = Options(folder.Path) with { ResumeFrom = folder.File("step-000002"), ResumeWithChanges = true, LearningRate = 1e-3, Steps = 4 };
        Train(changed);
        Assert.Equal(["step-000004", "step-000002"], Names(folder.Path));
        Assert.Equal("0.001", CheckpointFolder.Verify(folder.File("step-000004")).Facts["LearningRate"]);
    }

    [Fact]
    public void What_changed_is_listed_and_refused_unless_it_is_allowed()
    {
        using var folder = new TemporaryFolder();
        Train(Options(folder.Path));
        var resumed = Options(folder.Path) with { ResumeFrom = Checkpoints.Latest(folder.Path) };
        var path = resumed.ResumeFrom;
        Assert.Equal(
            $"{path} was written under other options: LearningRate 0.01 then, 0.02 now; MaxGradNorm 1 then, 2 now. " +
            "Give the same ones, or allow the run to go on with changed options.",
            Refusal(resumed with { LearningRate = 0.02, MaxGradNorm = 2 }));
        Assert.Contains("the loss DpoLoss(Beta=0.1, LabelSmoothing=0, ReferenceFree=False, divergence=reverse_kl(-1, 0.5)) then, DpoLoss(Beta=0.2,", Refusal(resumed, loss: new DpoLoss(0.2)), StringComparison.Ordinal);
        Assert.Contains("Schedule ", Refusal(resumed with { Schedule = LearningRateSchedules.Paper(1) }), StringComparison.Ordinal);
        Assert.Equal(
            $"{path} belongs to another run: BatchSize 5 then, 6 now; Seed 0 then, 1 now. Resume it with the model, the data and the batches that it was begun with.",
            Refusal(resumed with { BatchSize = 6, Seed = 1, ResumeWithChanges = true }));
        Assert.Contains("another run: the training data ", Refusal(resumed, on: TrainerTests.Data(12, seed: 2)), StringComparison.Ordinal);
        Assert.Contains("another run: the reference ", Refusal(resumed, seed: 6), StringComparison.Ordinal);
        var log = new KeptLog();
        Train(resumed with { LearningRate = 0.02, ResumeWithChanges = true, Steps = 7 }, logger: log);
        Assert.Contains("Warning: The run goes on with changed options: LearningRate 0.01 then, 0.02 now.", log.Lines);
        Assert.Contains("Information: The run goes on with another length or other evaluations: Steps 6 then, 7 now.", log.Lines);
    }

    /// <summary>Until Dpo shuffled by itself, .NET's Random decided the order, and checkpoints said True. In the file's order nothing
    /// changed.</summary>
    [Fact]
    public void A_checkpoint_of_another_shuffle_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        void TrainBefore(string path, string shuffle)
        {
            Train(Options(path) with { Shuffle = shuffle == "True" });
            var checkpoint = Checkpoints.Latest(path)!;
            var state = CheckpointState.Read(checkpoint);
            (state with { Facts = new Dictionary<string, string>(state.Facts) { ["Shuffle"] = shuffle, ["Dpo"] = "0.0.9" } }).Write(checkpoint);
        }
        TrainBefore(folder.File("shuffled"), "True");
        var resumed = Options(folder.File("shuffled")) with { ResumeFrom = Checkpoints.Latest(folder.File("shuffled")), Steps = 8, ResumeWithChanges = true };
        Assert.Equal(
            $"{resumed.ResumeFrom} was written by a version of Dpo that shuffled data into another order (0.0.9); finish the run with that version, or begin it anew.",
            Refusal(resumed));
        Assert.Contains("another run: Shuffle True then, False now.", Refusal(resumed with { Shuffle = false }), StringComparison.Ordinal);

        TrainBefore(folder.File("plain"), "False");
        Train(Options(folder.File("plain")) with { Shuffle = false, ResumeFrom = Checkpoints.Latest(folder.File("plain")), Steps = 8 });
        Assert.Equal("step-000008", Names(folder.File("plain"))[0]);
    }

    [Fact]
    public void A_run_does_not_begin_among_another_runs_checkpoints()
    {
        using var folder = new TemporaryFolder();
        Train(Options(folder.File("first")));
        Assert.Equal(
            $"{folder.File("first")} holds checkpoints of another run, the newest step-000006; resume from it, delete them, or give another folder.",
            Refusal(Options(folder.File("first"))));
        Train(Options(folder.File("second")) with { ResumeFrom = folder.File("first/step-000004") });
        Assert.Equal(["step-000006"], Names(folder.File("second")));
        Assert.Contains("holds checkpoints of another run", Refusal(Options(folder.File("first")) with { ResumeFrom = folder.File("second/step-000006") }), StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_run_in_one_folder_is_refused()
    {
        using var folder = new TemporaryFolder();
        using (var metrics = new MetricsFile(folder.File("run")))
        {
            var message = Assert.Throws<InvalidInputException>(() => new MetricsFile(folder.File("run"))).Message;
            Assert.Equal($"{folder.File("run")} is being written to by another run; wait for its end, or give another folder.", message);
            Train(Options(folder.Path), progress: step =>
            {
                if (step.Step == 2)
                    Assert.Equal($"{folder.Path} is being written to by another run; wait for its end, or give another folder.", Refusal(Options(folder.Path)));
            });
        }
        new MetricsFile(folder.File("run")).Dispose();
    }

    [Fact]
    public void What_cannot_be_written_to_is_refused_before_the_first_step()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("file", "no folder");
        var steps = 0;
        var message = Assert.Throws<InvalidInputException>(() => Train(Options(file), progress: _ => steps++)).Message;
        Assert.StartsWith($"{file} cannot be made, so nothing can be written there: ", message, StringComparison.Ordinal);
        Assert.StartsWith($"{file} cannot be made", Assert.Throws<InvalidInputException>(() => new MetricsFile(file)).Message, StringComparison.Ordinal);
        Assert.Equal(0, steps);
    }

    /// <summary>Under Linux's /sys not even root can make anything.</summary>
    [Theory]
    [InlineData("/sys/kernel/dpo", "/sys/kernel/dpo cannot be made, so nothing can be written there: ")]
    [InlineData("/sys/kernel", "Nothing can be written to /sys/kernel: ")]
    public void A_read_only_folder_is_refused_before_the_first_step(string path, string message)
    {
        if (!Directory.Exists("/sys/kernel"))
            return;
        var steps = 0;
        Assert.StartsWith(message, Assert.Throws<InvalidInputException>(() => Train(Options(path), progress: _ => steps++)).Message, StringComparison.Ordinal);
        Assert.StartsWith(message, Assert.Throws<InvalidInputException>(() => new MetricsFile(path)).Message, StringComparison.Ordinal);
        Assert.Equal(0, steps);
    }

    /// <summary>Wherever a checkpoint's writing fails, the checkpoint before stays, and the run goes on from it once there is room.</summary>
    [Fact]
    public void A_full_disk_ends_the_run_with_its_last_good_checkpoint()
    {
        using var whole = new TemporaryFolder();
        using var folder = new TemporaryFolder();
        List<TrainingMetrics> Train(TrainingOptions options, int room)
        {
            using var model = new Gpt2(TrainerTests.Shape, seed: 5);
            using var pair = new PolicyReferencePair(model);
            using var optimizer = new OnFullDisk(model.parameters(), room);
            using var trainer = new DpoTrainer(pair, options: options, optimizer: optimizer);
            var steps = new List<TrainingMetrics>();
            trainer.Train(data, progress: new TrainerTests.Callback(steps.Add));
            return steps;
        }

        var expected = Train(Options(whole.Path), int.MaxValue);
        using var one = new Gpt2(TrainerTests.Shape);
        var perCheckpoint = one.parameters().Count();
        foreach (var room in (int[])[perCheckpoint, perCheckpoint + 1, (3 * perCheckpoint / 2) + 1, (2 * perCheckpoint) - 1])
        {
            var path = folder.File($"{room}");
            var failure = Assert.Throws<IOException>(() => Train(Options(path), room));
            var good = Path.Combine(path, "step-000002");
            Assert.Equal(
                $"The checkpoint of step 4 could not be written to {path}: No space left on device. The last good one, {good}, is untouched; make room and resume from it.",
                failure.Message);
            Assert.Equal([good], Directory.GetDirectories(path)); // nothing half-written beside it
            Assert.Equal(good, Checkpoints.Latest(path));
            var rest = Train(Options(path) with { ResumeFrom = good }, int.MaxValue);
            Assert.Equal(expected.Skip(2).Select(step => step.Values), rest.Select(step => step.Values));
        }
    }

    /// <summary>Steepest descent with a state, for all checkpoints of which there is room for so many tensors.</summary>
    private sealed class OnFullDisk : optim.Optimizer, IRestorableOptimizer
    {
        private readonly Parameter[] all;
        private readonly Tensor[] sums;
        private int room;

        public OnFullDisk(IEnumerable<Parameter> parameters, int room)
            : base(IntPtr.Zero)
        {
            all = [.. parameters];
            sums = [.. all.Select(parameter => zeros_like(parameter).DetachFromDisposeScope())];
            this.room = room;
            _parameter_groups = [new Group { Parameters = all, Options = new OptimizerOptions { LearningRate = 1e-2, InitialLearningRate = 1e-2 } }];
        }

        public override IEnumerable<Parameter> parameters() => all;

        public override void zero_grad()
        {
            foreach (var parameter in all)
                parameter.grad?.zero_();
        }

        public override Tensor? step(Func<Tensor>? closure = null)
        {
            using var noGrad = no_grad();
            foreach (var (parameter, sum) in all.Zip(sums).Where(pair => pair.First.grad is not null))
            {
                sum.add_(parameter.grad!);
                parameter.sub_(sum.Times(ParamGroups.First().LearningRate));
            }
            return null;
        }

        public IEnumerable<(string Name, Tensor Tensor)> State()
        {
            foreach (var (index, sum) in sums.Index())
                yield return room-- > 0 ? ($"{index}", sum) : throw new IOException("No space left on device.");
        }

        public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
        {
            using var noGrad = no_grad();
            foreach (var (name, tensor) in state)
                sums[int.Parse(name, System.Globalization.CultureInfo.InvariantCulture)].copy_(tensor);
        }

        protected override void Dispose(bool disposing)
        {
            foreach (var sum in sums)
                sum.Dispose();
            base.Dispose(disposing);
        }

        private sealed class Group : ParamGroup;
    }

    /// <summary>Removed, or renamed and made anew: what is written there now would lie apart from what was, and unclaimed.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_folder_of_checkpoints_that_is_gone_is_noticed_at_the_next_one(bool anew)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("run");
        var message = Assert.Throws<IOException>(() => Train(Options(path), progress: step =>
        {
            if (step.Step != 3)
                return;
            Directory.Move(path, folder.File("elsewhere"));
            if (anew)
                Directory.CreateDirectory(path);
        })).Message;
        Assert.Equal($"{path} was removed or renamed while it was being written to; what it held is no longer there.", message);
        Assert.Equal(anew, Directory.Exists(path));
        Assert.Equal(["step-000002"], Names(folder.File("elsewhere")));
    }

    [Fact]
    public void Metrics_that_are_gone_are_noticed_at_the_next_step_and_its_checkpoint_is_written()
    {
        using var folder = new TemporaryFolder();
        using var metrics = new MetricsFile(folder.File("run"));
        var message = Assert.Throws<IOException>(() => Train(Options(folder.File("checkpoints")), progress: step =>
        {
            metrics.Report(step);
            if (step.Step == 2)
                File.Delete(folder.File("run/metrics.jsonl"));
        })).Message;
        Assert.Equal($"{folder.File("run/metrics.jsonl")} was removed, renamed or replaced while the run wrote to it; leave the folder where it is until the run ends.", message);
        Assert.Equal(folder.File("checkpoints/step-000003"), Checkpoints.Latest(folder.File("checkpoints")));
    }

    [Fact]
    public void A_weight_that_is_no_number_ends_the_run_with_its_last_good_checkpoint()
    {
        using var folder = new TemporaryFolder();
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: Options(folder.Path));
        var message = Assert.Throws<NotFiniteNumberException>(() => trainer.Train(data, progress: new TrainerTests.Callback(step =>
        {
            if (step.Step != 3)
                return;
            using var noGradients = no_grad();
            pair.Policy.named_parameters().Single(named => named.name == "transformer.ln_f.bias").parameter.fill_(float.NaN);
            pair.Policy.named_parameters().Single(named => named.name == "transformer.ln_f.weight").parameter.fill_(-12345);
        }))).Message;
        Assert.Matches(
            "^Step 4 has loss NaN and gradient norm NaN; the update was not made. Its examples: row [^.]*. " +
            "The largest weights: transformer.ln_f.bias up to NaN, transformer.ln_f.weight up to 1.234e\\+04, transformer[^ ]* up to [0-9.]*. " +
            $"The last good checkpoint is {folder.File("step-000002")}.$", message);
        Assert.Equal(["step-000002"], Names(folder.Path));
        CheckpointFolder.Verify(folder.File("step-000002"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_newest_and_the_best_checkpoints_stay(bool higher)
    {
        using var folder = new TemporaryFolder();
        var heldOut = new Dictionary<string, PreferenceData> { ["other"] = TrainerTests.Data(5, seed: 2), ["a"] = TrainerTests.Data(3, seed: 4) };
        var options = Options(folder.Path) with
        {
            Steps = 12,
            EvaluateEvery = 1,
            EvaluateFirst = true,
            LearningRate = 0.05,
            Checkpoints = new() { Folder = folder.Path, Every = 5, KeepLast = 2, KeepBest = new("eval_other_loss", higher) },
        };
        var steps = Train(options, heldOut: heldOut);
        Assert.Equal(Enumerable.Range(0, 13), steps.Select(step => step.Step));
        Assert.Equal(Math.Log(2), steps[0]["eval_a_loss"], 6);
        Assert.DoesNotContain("loss", steps[0].Values.Keys);
        var trained = steps.Skip(1);
        var best = (higher ? trained.MaxBy(step => step["eval_other_loss"]) : trained.MinBy(step => step["eval_other_loss"]))!.Step;
        Assert.Equal(CheckpointFolder.PathOf(folder.Path, best), Checkpoints.Best(folder.Path));
        Assert.Contains("step-000012", Names(folder.Path));
        Assert.InRange(Names(folder.Path).Length, 2, 3);

        // The best so far is part of the state: a longer run does not forget it.
        var longer = Train(options with { Steps = 14, ResumeFrom = Checkpoints.Latest(folder.Path) }, heldOut: heldOut);
        var all = trained.Concat(longer);
        best = (higher ? all.MaxBy(step => step["eval_other_loss"]) : all.MinBy(step => step["eval_other_loss"]))!.Step;
        Assert.Equal(CheckpointFolder.PathOf(folder.Path, best), Checkpoints.Best(folder.Path));
    }

    /// <summary>A best value is beaten by values of the same metric on the same data, or forgotten.</summary>
    [Theory]
    [InlineData("eval_loss", 3, 2)]
    [InlineData("eval_rewards/margins", 4, 1)]
    public void Another_metric_or_other_held_out_data_have_a_best_of_their_own(string metric, int count, int seed)
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder.Path) with { Steps = 3, EvaluateEvery = 1, LearningRate = 1e-4, Checkpoints = new() { Folder = folder.Path, KeepBest = new("eval_loss") } };
        using (var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5)))
        using (var trainer = new DpoTrainer(pair, options: options))
            trainer.Train(data, TrainerTests.Data(4, seed: 1));

        // As low a bar as the first run set, nothing above it would pass.
        var higher = metric != "eval_loss";
        using var resumed = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var again = new DpoTrainer(resumed, options: options with
        {
            Steps = 6,
            ResumeFrom = Checkpoints.Latest(folder.Path),
            Checkpoints = new() { Folder = folder.Path, KeepBest = new(metric, higher) },
        });
        var steps = new List<TrainingMetrics>();
        again.Train(data, TrainerTests.Data(count, seed), new TrainerTests.Callback(steps.Add));
        var best = higher ? steps.MaxBy(step => step[metric]) : steps.MinBy(step => step[metric]);
        Assert.Equal(CheckpointFolder.PathOf(folder.Path, best!.Step), Checkpoints.Best(folder.Path));
    }

    [Fact]
    public void A_metric_that_no_evaluation_measures_is_refused_before_the_first_step()
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder.Path) with { Checkpoints = new() { Folder = folder.Path, KeepBest = new("eval_los") } };
        Assert.Equal("KeepBest: eval_los cannot be measured without held-out data; give the trainer some.", Refusal(options));
        var message = Assert.Throws<InvalidInputException>(() => Train(options, heldOut: new Dictionary<string, PreferenceData> { ["x"] = data })).Message;
        Assert.StartsWith("KeepBest: no evaluation measures eval_los; there are eval_x_loss, eval_x_rewards/chosen, ", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_far_fall_of_chosen_log_probability_is_told_once_however_often_the_run_is_resumed()
    {
        using var folder = new TemporaryFolder();
        var log = new KeptLog();
        // Unlikelihood with a negative learning target: pushes everything down.
        var options = Options(folder.Path) with { LearningRate = 0.1, WarnOfChosenFall = 2, Steps = 4 };
        var loss = new CombinedLoss((new SftLoss(), -1), (new DpoLoss(), 0.1));
        Train(options, loss: loss, logger: log);
        Train(options with { Steps = 8, ResumeFrom = Checkpoints.Latest(folder.Path) }, loss: loss, logger: log);
        Assert.Matches("^Warning: At step [234] the mean log-probability of the chosen completions is [0-9.]+ nats below the first step's:", Assert.Single(log.Lines, line => line.StartsWith("Warning", StringComparison.Ordinal)));
        var quiet = new KeptLog();
        Train(options with { WarnOfChosenFall = double.PositiveInfinity, Checkpoints = null }, loss: loss, logger: quiet);
        Assert.DoesNotContain(quiet.Lines, line => line.StartsWith("Warning", StringComparison.Ordinal));
    }

    [Fact]
    public void Metrics_that_are_missing_before_the_checkpoint_are_refused()
    {
        using var folder = new TemporaryFolder();
        Train(Options(folder.File("checkpoints")));
        var checkpoint = folder.File("checkpoints/step-000004");
        var metrics = folder.Write("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"lo");
        Assert.Equal(
            $"{metrics} ends after step 2, but the checkpoint was written after step 4; move the file away to go on without the lines before.",
            Assert.Throws<InvalidInputException>(() => new MetricsFile(folder.Path, lastStep: 4)).Message);
        folder.Write("metrics.jsonl", "{\"step\":3}\n{\"step\":4}\n{\"step\":5}\n{\"st");
        using (var file = new MetricsFile(folder.Path, Checkpoints.LastReportedStep(checkpoint)))
            file.Report(new(5, 5, new Dictionary<string, double>(), TimeSpan.Zero));
        Assert.Equal("{\"step\":3}\n{\"step\":4}\n{\"step\":5}\n", File.ReadAllText(metrics));
    }

    /// <summary>Keeps what is logged.</summary>
    internal sealed class KeptLog : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add($"{logLevel}: {formatter(state, exception)}");
    }
}
