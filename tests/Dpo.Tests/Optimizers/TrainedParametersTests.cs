using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Which parameters are trained: tied ones once, and the same from the pair to the last step.</summary>
public class TrainedParametersTests
{
    private static readonly PreferenceData data = TrainerTests.Data(16);

    private static (List<TrainingMetrics> Steps, double[][] Weights) Train(bool plain, TrainingOptions options, Func<LogitsModel, optim.Optimizer>? optimizer = null)
    {
        using var pair = new PolicyReferencePair(new LogitsModel(new AwkwardModule(plain)));
        using var own = optimizer?.Invoke((LogitsModel)pair.Policy);
        using var trainer = new DpoTrainer(pair, options: options, optimizer: own);
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, progress: new Recorder(steps));
        return (steps, [.. pair.Policy.parameters().OrderBy(parameter => parameter.numel()).Select(parameter => parameter.detach().flatten().ToDoubles())]);
    }

    public static TheoryData<string> Optimizers => ["rmsprop", "adamw", "sgd", "adam"];

    /// <summary>Tied, joined and strided parameters train as the same model of plain ones does, clipped and measured alike.</summary>
    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Awkward_parameters_train_as_plain_ones(string optimizer)
    {
        var options = TrainerTests.Options with
        {
            LearningRate = 1e-2,
            MaxGradNorm = 0.05,
            MoveReferenceEvery = 2,
            Optimizer = optimizer == "adamw" ? OptimizerKind.AdamW : OptimizerKind.RmsProp,
        };
        Func<LogitsModel, optim.Optimizer>? own = optimizer switch
        {
            "sgd" => model => optim.SGD(model.parameters(), 1),
            "adam" => model => optim.Adam(model.parameters(), 1),
            _ => null,
        };
        var (expected, expectedWeights) = Train(plain: true, options, own);
        var (actual, weights) = Train(plain: false, options, own);
        foreach (var (one, other) in expected.Zip(actual))
        {
            foreach (var (name, value) in one.Values)
                Numbers.AssertClose(value, other[name], 1e-5, $"step {one.Step}, {name}");
        }
        Assert.True(expected[0]["grad_norm"] > 0.05, "nothing was clipped");
        Assert.Equal(expectedWeights.Length, weights.Length);
        foreach (var (one, other) in expectedWeights.Zip(weights))
            Numbers.AssertClose(one, other, 1e-4);
    }

    [Fact]
    public void A_tied_weight_is_one_parameter_and_is_copied_once_for_the_reference()
    {
        var model = new LogitsModel(new AwkwardModule());
        Assert.Equal(["module.first", "module.second", "module.third", "module.tokens.weight", "module.up"], model.named_parameters().Select(named => named.name).Order(StringComparer.Ordinal));
        Assert.Equal(5, model.parameters().Count());
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        using var pair = new PolicyReferencePair(model);
        Assert.Equal(before + 5, Tensor.TotalCount);
    }

    [Theory]
    [InlineData(OptimizerKind.RmsProp)]
    [InlineData(OptimizerKind.AdamW)]
    public void An_optimizer_of_a_modules_parameters_updates_a_tied_weight_once(OptimizerKind kind)
    {
        using var scope = NewDisposeScope();
        using var tokens = nn.Embedding(3, 2);
        using var head = nn.Linear(2, 3, hasBias: false);
        head.weight = tokens.weight!;
        using (no_grad())
            tokens.weight!.zero_();
        Parameter[] both = [tokens.weight!, head.weight!];
        using var optimizer = kind.Create(both, 0.5);
        tokens.weight!.grad = ones(3, 2);
        optimizer.step();
        Assert.Single(optimizer.parameters());
        Numbers.AssertClose(Enumerable.Repeat(kind == OptimizerKind.AdamW ? -0.5 : -5, 6).ToArray(), head.weight!.detach().flatten().ToDoubles(), 1e-5);
    }

    [Fact]
    public void Parameters_that_share_memory_without_being_one_are_refused()
    {
        using var scope = NewDisposeScope();
        using var tokens = nn.Embedding(40, 8);
        using var head = nn.Linear(8, 40, hasBias: false);
        head.weight = new Parameter(tokens.weight!.detach());
        var model = new LogitsModel(nn.Sequential(("tokens", tokens), ("head", head)));
        var message = Assert.Throws<InvalidOperationException>(() => new PolicyReferencePair(model)).Message;
        Assert.Equal(
            "The parameters module.tokens.weight and module.head.weight share their memory but not their gradient; tie weights by giving the modules the same parameter.",
            message);
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() => new SftTrainer(model)).Message);
    }

    /// <summary>What changes what a model trains, and what the refusal names of it.</summary>
    public static TheoryData<string, string> Changes => new()
    {
        { "AddLora", "transformer.h.0.attn.c_attn.lora_A.weight is trained now, transformer.wte.weight is not what was trained, and" },
        { "LoadAdapter", "transformer.h.0.attn.c_attn.lora_A.weight is trained now, transformer.wte.weight is not what was trained, and" },
        { "freeze", "transformer.ln_f.bias is not what was trained;" },
        { "move", "transformer.wte.weight is trained now, transformer.wte.weight is not what was trained, and" },
    };

    private static void Change(TransformerModel model, string what)
    {
        switch (what)
        {
            case "AddLora":
                model.AddLora(LoraModels.Options with { TargetModules = ["c_attn"] });
                break;
            case "LoadAdapter":
                using (var folder = new TemporaryFolder())
                {
                    using var other = new Gpt2(TrainerTests.Shape, seed: 5);
                    Change(other, "AddLora");
                    other.SaveAdapter(folder.Path);
                    model.LoadAdapter(folder.Path);
                }
                break;
            case "freeze":
                model.parameters().Last().requires_grad = false;
                break;
            default:
                model.to(float64);
                break;
        }
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public void What_is_trained_may_not_change_after_the_pair_was_made(string what, string named)
    {
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        using var pair = new PolicyReferencePair(model);
        Change(model, what);
        using var scope = NewDisposeScope();
        Action[] uses =
        [
            () => new DpoTrainer(pair).Dispose(), () => pair.LogProbs(new PreferenceBatch(data.Examples).To(CPU)), () => pair.WithReference(reference => reference.training),
            () => pair.MoveReference(0.5),
        ];
        foreach (var use in uses)
        {
            var message = Assert.Throws<InvalidOperationException>(use).Message;
            Assert.StartsWith($"What is trained changed after the pair was made: {named}", message, StringComparison.Ordinal);
            Assert.EndsWith("; add or load adapters, freeze weights and move the model before the pair is made.", message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public void Nor_after_the_trainer_was_made(string what, string named)
    {
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        using var pair = new PolicyReferencePair(model, new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options);
        Change(model, what);
        var message = Assert.Throws<InvalidOperationException>(() => trainer.Train(data)).Message;
        Assert.StartsWith($"What is trained changed after the trainer was made: {named}", message, StringComparison.Ordinal);
    }

    /// <summary>Before the first step, between two steps: no update is made.</summary>
    [Fact]
    public void Nor_between_two_steps()
    {
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        using var trainer = new SftTrainer(model, TrainerTests.Options);
        var steps = 0;
        var progress = new TrainerTests.Callback(_ =>
        {
            if (++steps == 2)
                model.parameters().First().requires_grad = false;
        });
        var exception = Assert.Throws<InvalidOperationException>(() => trainer.Train(data.ChosenOnly(), progress: progress));
        Assert.StartsWith("What is trained changed after the trainer was made: transformer.wte.weight is not what was trained;", exception.Message, StringComparison.Ordinal);
        Assert.Equal(2, steps);
    }

    [Fact]
    public void An_optimizer_must_hold_what_is_trained_once()
    {
        using var pair = new PolicyReferencePair(new LogitsModel(new AwkwardModule()));
        using var short1 = optim.SGD(pair.Policy.parameters().Skip(1), 1);
        var exception = Assert.Throws<ArgumentException>(() => new DpoTrainer(pair, optimizer: short1));
        Assert.StartsWith($"The optimizer does not hold {pair.Policy.named_parameters().First().name}, which is trained; make it of all", exception.Message, StringComparison.Ordinal);

        using var twice = optim.SGD(pair.Policy.parameters().Append(pair.Policy.parameters().First()), 1);
        exception = Assert.Throws<ArgumentException>(() => new DpoTrainer(pair, optimizer: twice));
        Assert.StartsWith("The optimizer holds a parameter twice and would update it twice in every step;", exception.Message, StringComparison.Ordinal);

        using var before = new Gpt2(TrainerTests.Shape, seed: 5);
        using var early = optim.AdamW(before.parameters(), 1);
        before.AddLora(LoraModels.Options);
        exception = Assert.Throws<ArgumentException>(() => new SftTrainer(before, optimizer: early));
        Assert.StartsWith("The optimizer does not hold transformer.h.0.attn.c_attn.lora_A.weight, which is trained;", exception.Message, StringComparison.Ordinal);
    }
}
