using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Weights are looked at after the update, and files of weights are finite or are not written.</summary>
public sealed class FiniteWeightsTests : IDisposable
{
    private static readonly PreferenceData data = TrainerTests.Data(12);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static string Failure(TrainingOptions options, PreferenceData? heldOut = null, Action<TrainingMetrics>? report = null, bool lora = false)
    {
        var model = new Gpt2(TrainerTests.Shape, seed: 5);
        if (lora)
            model.AddLora(LoraModels.Options);
        using var pair = new PolicyReferencePair(model);
        using var trainer = new DpoTrainer(pair, options: options);
        return Assert.Throws<NotFiniteNumberException>(() => trainer.Train(data, heldOut, new TrainerTests.Callback(step => report?.Invoke(step)))).Message;
    }

    [Theory]
    [InlineData(OptimizerKind.RmsProp, false)]
    [InlineData(OptimizerKind.AdamW, false)]
    [InlineData(OptimizerKind.RmsProp, true)]
    public void A_last_update_that_breaks_the_weights_is_told_and_no_checkpoint_is_written(OptimizerKind optimizer, bool lora)
    {
        var options = TrainerTests.Options with
        {
            Steps = 1,
            LearningRate = 1e38,
            Optimizer = optimizer,
            Checkpoints = new() { Folder = folder.Path },
        };
        var told = "^The update of step 1, at a learning rate of 1[eE]\\+38 and a gradient norm of [0-9.]+, left weights that are not finite. " +
            "The largest: [^ ]+ up to (NaN|Infinity), .*A smaller learning rate may help.$";
        Assert.Matches(told, Failure(options, lora: lora));
        Assert.Empty(CheckpointFolder.List(folder.Path));
        Assert.Matches(told, Failure(options with { Checkpoints = null }, lora: lora));
    }

    /// <summary>At a step with a checkpoint (4), at one with an evaluation (5), and at one that nothing follows (3).</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void The_last_good_checkpoint_is_good(int step)
    {
        var reported = 0;
        var message = Failure(
            TrainerTests.Options with
            {
                Steps = 6,
                BatchSize = 5,
                EvaluateEvery = 5,
                Schedule = (at, _) => at == step - 1 ? 1e41 : 1,
                Checkpoints = new() { Folder = folder.Path, Every = 2 },
            },
            heldOut: TrainerTests.Data(3, seed: 1), report: at => reported = at.Step);
        var good = step == 5 ? 4 : 2;
        Assert.StartsWith($"The update of step {step}, ", message, StringComparison.Ordinal);
        Assert.EndsWith($"The last good checkpoint is {folder.File($"step-{good:000000}")}.", message, StringComparison.Ordinal);
        Assert.Equal(step - 1, reported);
        using var model = CausalLanguageModel.Load(Checkpoints.Latest(folder.Path)!);
        Assert.All(model.parameters(), parameter => Assert.All(parameter.detach().flatten().ToDoubles(), value => Assert.True(double.IsFinite(value))));
    }

    /// <summary>Nobody waits for what an update left unless something follows it: it is read with the next step's loss.</summary>
    [Theory]
    [InlineData(3, 3)]
    [InlineData(4, 3)]
    [InlineData(6, 5)]
    public void On_a_device_an_update_is_looked_at_before_what_follows_it(int step, int reported)
    {
        using var strategies = DeviceStrategies.OnCpu();
        var last = 0;
        var message = Failure(
            TrainerTests.Options with
            {
                Steps = 6,
                BatchSize = 5,
                Schedule = (at, _) => at == step - 1 ? 1e41 : 1,
                Checkpoints = new() { Folder = folder.Path, Every = 2 },
            },
            report: at => last = at.Step);
        Assert.StartsWith($"The update of step {step}, ", message, StringComparison.Ordinal);
        Assert.EndsWith($"The last good checkpoint is {folder.File($"step-{(step - 1) / 2 * 2:000000}")}.", message, StringComparison.Ordinal);
        Assert.Equal(reported, last);
    }

    /// <summary>One number in any place of any parameter shows, on a CPU and on a device.</summary>
    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Every_number_that_is_not_finite_shows(float value)
    {
        using var scope = NewDisposeScope();
        static Parameter[] Weights() =>
            [.. new[] { ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float64, ScalarType.Float32 }.Select(type => new Parameter(randn([3, 70], type))),
                new Parameter(zeros(0)), new Parameter(tensor(-4f))];
        bool IsFinite(Parameter[] weights)
        {
            var onCpu = HostRead.Of(WeightCheck.Of(weights)).Single();
            using var strategies = DeviceStrategies.OnCpu();
            var onDevice = HostRead.Of(WeightCheck.Of(weights)).Single();
            Assert.Equal(double.IsFinite(onCpu), double.IsFinite(onDevice));
            return double.IsFinite(onDevice);
        }
        Assert.True(IsFinite(Weights()));
        foreach (var (parameter, place) in new[] { (0, 0), (0, 209), (1, 33), (2, 100), (3, 209), (5, 0) })
        {
            var weights = Weights();
            using (no_grad())
                weights[parameter].view(-1)[place] = value;
            Assert.False(IsFinite(weights), $"{parameter}, {place}");
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_model_and_an_adapter_that_are_not_finite_are_not_saved(float value)
    {
        using var model = new Gpt2(TrainerTests.Shape, seed: 5);
        model.Save(folder.File("model"));
        var before = File.ReadAllBytes(folder.File("model/model.safetensors"));
        using (no_grad())
            model.named_parameters().Single(named => named.name == "transformer.ln_f.bias").parameter[3].fill_(value);
        Assert.Equal(
            $"The model was not written to {folder.File("model")}, because weights are not finite: transformer.ln_f.bias.",
            Assert.Throws<NotFiniteNumberException>(() => model.Save(folder.File("model"))).Message);
        Assert.Equal(before, File.ReadAllBytes(folder.File("model/model.safetensors")));

        using var adapted = new Gpt2(TrainerTests.Shape, seed: 5);
        adapted.AddLora(LoraModels.Options);
        using (no_grad())
        {
            foreach (var (_, parameter) in adapted.RequireAdapter().Parameters)
                parameter.fill_(value);
        }
        var message = Assert.Throws<NotFiniteNumberException>(() => adapted.SaveAdapter(folder.File("adapter"))).Message;
        Assert.Matches($"^The adapter was not written to {folder.File("adapter")}, because weights are not finite: [^ ]+, [^ ]+, [^ ]+ and [0-9]+ more\\.$", message);
        Assert.StartsWith("The model was not written", Assert.Throws<NotFiniteNumberException>(() => adapted.Save(folder.File("merged"))).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder.File("adapter")) || Directory.Exists(folder.File("merged")));
    }

    /// <summary>Between the update and the checkpoint a callback may do anything.</summary>
    [Fact]
    public void A_checkpoint_is_looked_at_itself()
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options with
        {
            EvaluateEvery = 1,
            Checkpoints = new() { Folder = folder.Path, KeepBest = new("eval_loss") },
        });
        var message = Assert.Throws<NotFiniteNumberException>(() => trainer.Train(data, TrainerTests.Data(3), new TrainerTests.Callback(_ =>
        {
            using var noGradients = no_grad();
            pair.Policy.parameters().Last().fill_(float.NaN);
        }))).Message;
        Assert.Equal($"The checkpoint of step 1 was not written to {folder.Path}, because weights are not finite: transformer.ln_f.bias.", message);
        Assert.Empty(CheckpointFolder.List(folder.Path));
    }
}
