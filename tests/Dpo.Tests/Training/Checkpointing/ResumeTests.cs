using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>A run that was stopped and resumed is, to the bit, the run that was not.</summary>
public class ResumeTests
{
    private const int Steps = 11;

    private static readonly TrainingOptions training = TrainerTests.Options with
    {
        LearningRate = 1e-2,
        Steps = Steps,
        BatchSize = 5,
        MicroBatchSize = 2,
        Schedule = LearningRateSchedules.Cosine(2),
        EvaluateEvery = 3,
    };

    /// <summary>What is trained, and how.</summary>
    public enum Subject
    {
        Dpo,
        DpoAdamW,
        DpoOfTwoModels,
        DpoWithSgd,
        DpoWithTorchAdam,
        DpoOfOwnModule,
        DpoOfAwkwardModule,
        Sft,
        LoraWithDropout,
        LoraWithMoreWeights,
        MovingReference,
        MovingReferenceOfTwoModels,
        MovingReferenceOfLora,
        BetaDpo,
        MovingReferenceOfBetaDpo,
        DpoShift,
    }

    private static bool HasAdapter(Subject subject) =>
        subject is Subject.LoraWithDropout or Subject.LoraWithMoreWeights or Subject.MovingReferenceOfLora;

    private static bool Moves(Subject subject) =>
        subject is Subject.MovingReference or Subject.MovingReferenceOfTwoModels or Subject.MovingReferenceOfLora
            or Subject.MovingReferenceOfBetaDpo;

    /// <summary>Trains in a process that knows nothing of the runs before.</summary>
    /// <returns>The trained weights.</returns>
    private static Dictionary<string, double[]> Train(
        Subject subject, string folder, int? stopAfter = null, bool resume = false, Func<TrainingOptions, TrainingOptions>? change = null)
    {
        var model = Model(subject);
        var checkpoints = Path.Combine(folder, "checkpoints");
        var options = training with
        {
            MoveReferenceEvery = Moves(subject) ? 2 : null,
            Optimizer = subject is Subject.DpoAdamW or Subject.LoraWithDropout or Subject.DpoOfAwkwardModule ? OptimizerKind.AdamW : OptimizerKind.RmsProp,
            Checkpoints = new() { Folder = checkpoints, Every = 4, KeepLast = 100 },
            ResumeFrom = resume ? Checkpoints.Latest(checkpoints) : null,
        };
        options = change?.Invoke(options) ?? options;
        using var pair = subject is Subject.DpoOfTwoModels or Subject.MovingReferenceOfTwoModels
            ? new PolicyReferencePair(model, new Gpt2(TrainerTests.Shape, seed: 5))
            : new PolicyReferencePair(model);
        using optim.Optimizer? own = subject switch
        {
            Subject.DpoWithSgd => optim.SGD(model.parameters(), 1),
            Subject.DpoWithTorchAdam => optim.Adam(model.parameters(), 1),
            _ => null,
        };
        using Trainer trainer = subject == Subject.Sft
            ? new SftTrainer(model, options)
            : new DpoTrainer(pair, Loss(subject), options, own);
        using var metrics = new MetricsFile(folder, Checkpoints.LastReportedStep(options.ResumeFrom));
        using var cancellation = new CancellationTokenSource();
        var progress = new TrainerTests.Callback(step =>
        {
            metrics.Report(step);
            if (step.Step == stopAfter)
                cancellation.Cancel();
        });
        var data = subject == Subject.Sft ? TrainerTests.Data(12).ChosenOnly() : TrainerTests.Data(12);
        var heldOut = subject == Subject.Sft ? TrainerTests.Data(4, seed: 1).ChosenOnly() : TrainerTests.Data(4, seed: 1);
        if (stopAfter is null)
            trainer.Train(data, heldOut, progress, cancellation.Token);
        else
            Assert.Throws<OperationCanceledException>(() => trainer.Train(data, heldOut, progress, cancellation.Token));
        return Weights(model);
    }

    /// <summary>One with a running mean, which is a term of a combination, or one whose number follows the run.</summary>
    private static IPreferenceLoss Loss(Subject subject) => subject switch
    {
        Subject.BetaDpo or Subject.MovingReferenceOfBetaDpo => new CombinedLoss((new DpoLoss(), 1), (new BetaDpoLoss(1, 2), 1)),
        Subject.DpoShift => new DpoShiftLoss(1, 0.2, 1),
        _ => new IpoLoss(beta: 0.3),
    };

    /// <summary>The model at the start of a run.</summary>
    private static CausalLanguageModel Model(Subject subject)
    {
        CausalLanguageModel model = subject switch
        {
            Subject.DpoOfOwnModule => new LogitsModel(new OwnModule()),
            Subject.DpoOfAwkwardModule => new LogitsModel(new AwkwardModule()),
            _ => new Gpt2(TrainerTests.Shape, seed: 5),
        };
        if (HasAdapter(subject))
            ((TransformerModel)model).AddLora(LoraModels.Options with { Dropout = 0.3 });
        if (subject == Subject.LoraWithMoreWeights)
            model.named_parameters().First(named => named.name.EndsWith("ln_f.weight", StringComparison.Ordinal)).parameter.requires_grad = true;
        return model;
    }

    private static Dictionary<string, double[]> Weights(CausalLanguageModel model) =>
        model.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().flatten().ToDoubles());

    private static string Metrics(TemporaryFolder folder) => File.ReadAllText(folder.File("metrics.jsonl"));

    /// <summary>Stopped in the middle of an epoch, at its end (12 examples are more than two batches), and resumed twice.</summary>
    [Theory]
    [InlineData(Subject.Dpo)]
    [InlineData(Subject.DpoAdamW)]
    [InlineData(Subject.DpoOfTwoModels)]
    [InlineData(Subject.DpoWithSgd)]
    [InlineData(Subject.DpoWithTorchAdam)]
    [InlineData(Subject.DpoOfOwnModule)]
    [InlineData(Subject.DpoOfAwkwardModule)]
    [InlineData(Subject.Sft)]
    [InlineData(Subject.LoraWithDropout)]
    [InlineData(Subject.LoraWithMoreWeights)]
    [InlineData(Subject.MovingReference)]
    [InlineData(Subject.MovingReferenceOfTwoModels)]
    [InlineData(Subject.MovingReferenceOfLora)]
    [InlineData(Subject.BetaDpo)]
    [InlineData(Subject.MovingReferenceOfBetaDpo)]
    [InlineData(Subject.DpoShift)]
    public void A_resumed_run_is_the_uninterrupted_one(Subject subject)
    {
        using var whole = new TemporaryFolder();
        using var parts = new TemporaryFolder();
        var expected = Train(subject, whole.Path);
        Train(subject, parts.Path, stopAfter: 3);
        Train(subject, parts.Path, stopAfter: 7, resume: true);
        var actual = Train(subject, parts.Path, resume: true);
        Assert.Equal(expected, actual);
        Assert.Equal(Metrics(whole), Metrics(parts));
        Assert.Equal(Steps, File.ReadAllLines(parts.File("timing.jsonl")).Length);
        var last = Checkpoints.Latest(parts.File("checkpoints"))!;
        using var loaded = Model(subject);
        Assert.NotEqual(expected, Weights(loaded));
        Checkpoints.LoadInto(loaded, last);
        Assert.Equal(expected, Weights(loaded));
        Assert.Equal(Moves(subject) || subject == Subject.BetaDpo, File.Exists(Path.Combine(last, "reference.safetensors")));
        foreach (var file in Directory.GetFiles(Checkpoints.Latest(whole.File("checkpoints"))!))
        {
            // Models draw from the process's one generator where they are made, which nothing seeds here; KillTests compares it.
            if (Path.GetFileName(file) is var name && name is not ("random.safetensors" or "state.json"))
                Assert.True(File.ReadAllBytes(file).SequenceEqual(File.ReadAllBytes(Path.Combine(last, name))), $"{name} differs.");
        }
    }

    /// <summary>A reference that is to stay from here on stays where it had moved to, not where it began.</summary>
    [Fact]
    public void A_reference_that_had_moved_is_kept_where_it_is()
    {
        using var folder = new TemporaryFolder();
        TrainingOptions Stays(TrainingOptions options) => options with { MoveReferenceEvery = null, ResumeWithChanges = true };
        byte[] Reference(int step) => File.ReadAllBytes(folder.File($"checkpoints/step-{step:000000}/reference.safetensors"));

        Train(Subject.MovingReference, folder.Path, stopAfter: 5);
        var refused = Assert.Throws<InvalidInputException>(
            () => Train(Subject.MovingReference, folder.Path, resume: true, change: options => options with { MoveReferenceEvery = 3, MoveReferenceBy = 1 }));
        Assert.EndsWith(
            "was written under other options: MoveReferenceEvery 2 then, 3 now; MoveReferenceBy 0.6 then, 1 now. " +
            "Give the same ones, or allow the run to go on with changed options.", refused.Message, StringComparison.Ordinal);
        Train(Subject.MovingReference, folder.Path, stopAfter: 7, resume: true, change: Stays);
        Train(Subject.MovingReference, folder.Path, resume: true, change: Stays);
        Assert.Equal(Reference(5), Reference(11));

        using var released = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        released.ReleaseReference();
        using var trainer = new DpoTrainer(released, new IpoLoss(beta: 0.3), training with { ResumeFrom = folder.File("checkpoints/step-000011"), ResumeWithChanges = true });
        Assert.StartsWith(
            "The reference was released, but the example row 0 carries no log-probabilities of it;",
            Assert.Throws<InvalidOperationException>(() => trainer.Train(TrainerTests.Data(12))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_checkpoint_can_be_resumed_from_the_last_one_too()
    {
        using var whole = new TemporaryFolder();
        var expected = Train(Subject.Dpo, whole.Path);
        var metrics = Metrics(whole);
        string[] all = [.. CheckpointFolder.List(whole.File("checkpoints")).Select(entry => entry.Path)];
        Assert.Equal(["step-000011", "step-000008", "step-000004"], all.Select(Path.GetFileName));
        foreach (var checkpoint in all)
        {
            Assert.Equal(expected, Train(Subject.Dpo, whole.Path, change: options => options with { ResumeFrom = checkpoint }));
            Assert.Equal(metrics, Metrics(whole));
        }
        Assert.Equal(all.Order(), CheckpointFolder.List(whole.File("checkpoints")).Select(entry => entry.Path).Order());
    }

    [Fact]
    public void A_finished_run_can_be_made_longer()
    {
        using var whole = new TemporaryFolder();
        using var parts = new TemporaryFolder();
        TrainingOptions Constant(TrainingOptions options, int steps) =>
            options with { Steps = steps, EvaluateEvery = 1, Schedule = LearningRateSchedules.Paper(3) };
        var expected = Train(Subject.Dpo, whole.Path, change: options => Constant(options, 9));
        Train(Subject.Dpo, parts.Path, change: options => Constant(options, 5));
        Assert.Equal(expected, Train(Subject.Dpo, parts.Path, resume: true, change: options => Constant(options, 9)));
        Assert.Equal(Metrics(whole), Metrics(parts));
        var shorter = Assert.Throws<InvalidInputException>(() => Train(Subject.Dpo, parts.Path, resume: true, change: options => Constant(options, 6)));
        Assert.EndsWith("step-000009 was written after step 9, but the run is to have 6 steps; give more steps.", shorter.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_is_a_model_folder_or_an_adapter_folder()
    {
        using var folder = new TemporaryFolder();
        using var adapterFolder = new TemporaryFolder();
        var expected = Train(Subject.Dpo, folder.Path);
        using var model = CausalLanguageModel.Load(Checkpoints.Latest(folder.File("checkpoints"))!);
        Assert.Equal(expected, model.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().flatten().ToDoubles()));

        var expectedAdapter = Train(Subject.LoraWithDropout, adapterFolder.Path);
        using var adapted = new Gpt2(TrainerTests.Shape, seed: 5);
        adapted.LoadAdapter(Checkpoints.Latest(adapterFolder.File("checkpoints"))!);
        Assert.Equal(expectedAdapter, adapted.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().flatten().ToDoubles()));
        Assert.False(File.Exists(Path.Combine(Checkpoints.Latest(adapterFolder.File("checkpoints"))!, "model.safetensors")));
    }

    /// <summary>A user's module with weights that it does not train, and names of its own.</summary>
    private sealed class OwnModule : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Embedding tokens;
        private readonly TorchSharp.Modules.Linear head;

        public OwnModule()
            : base(nameof(OwnModule))
        {
            tokens = nn.Embedding(40, 8);
            head = nn.Linear(8, 40);
            using var generator = new Generator(7);
            using (no_grad())
            {
                tokens.weight!.normal_(0, 1, generator);
                head.weight!.normal_(0, 0.2, generator);
                head.bias!.zero_();
            }
            tokens.weight!.requires_grad = false;
            RegisterComponents();
        }

        public override Tensor forward(Tensor ids)
        {
            using var scope = NewDisposeScope();
            return head.forward(tokens.forward(ids)).MoveToOuterDisposeScope();
        }
    }
}
