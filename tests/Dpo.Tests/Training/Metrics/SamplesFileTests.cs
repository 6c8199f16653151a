using System.Text.Json;

namespace Dpo.Tests;

public class SamplesFileTests
{
    private static readonly IReadOnlyList<int>[] Prompts = [[5, 6, 7], [9]];

    private static TextTokenizer Tokenizer() => TextTokenizer.Load(Fixture.Path("tokenizer"));

    private static PolicyReferencePair Pair(bool lora = false)
    {
        var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        if (lora)
            model.AddLora(LoraModels.Options with { Dropout = 0.5 });
        return new PolicyReferencePair(model);
    }

    private static readonly TrainingOptions training = new()
    {
        LearningRate = 1e-2,
        Schedule = LearningRateSchedules.Paper(0),
        BatchSize = 4,
        Steps = 4,
        EvaluateEvery = 2,
    };

    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 1)]
    [InlineData(true, 1)]
    public void Every_evaluation_writes_what_both_models_say_and_disturbs_nothing(bool lora, double temperature)
    {
        using var folder = new TemporaryFolder();
        var tokenizer = Tokenizer();
        var data = RecordedRun.Data(Numbers.Json("trajectories", "gpt2_rmsprop", "config.json"));
        var options = new SamplingOptions { MaxNewTokens = 12, Temperature = temperature, Seed = 3 };
        using var start = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        string[] Texts(TransformerModel model) => [.. Sampler.Sample(model, Prompts, options, tokenizer).Select(sample => sample.Text!)];

        using var undisturbed = Pair(lora);
        var expected = new List<TrainingMetrics>();
        using (var trainer = new DpoTrainer(undisturbed, options: training))
            trainer.Train(data, data, new Recorder(expected));

        using var pair = Pair(lora);
        var steps = new List<TrainingMetrics>();
        using (var trainer = new DpoTrainer(pair, options: training))
        using (var file = new SamplesFile(folder.File("run"), new SampleComparison(pair, tokenizer, Prompts, options)))
            trainer.Train(data, data, Progress.All(file, new Recorder(steps)));

        Assert.Equal(expected.Select(step => step.Values), steps.Select(step => step.Values));
        var rows = File.ReadAllLines(folder.File("run/samples.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal([2, 2, 4, 4], rows.Select(row => row.GetProperty("step").GetInt32()));
        string[] Column(string name, int step) =>
            [.. rows.Where(row => row.GetProperty("step").GetInt32() == step).Select(row => row.GetProperty(name).GetString()!)];
        foreach (var step in (int[])[2, 4])
        {
            Assert.Equal(Prompts.Select(prompt => tokenizer.Decode(prompt)), Column("prompt", step));
            Assert.Equal(Texts(start), Column("reference", step));
        }
        Assert.Equal(Texts((TransformerModel)pair.Policy), Column("policy", 4));
        Assert.NotEqual(Column("reference", 4), Column("policy", 4));
    }

    [Fact]
    public void A_resumed_run_goes_on_with_the_samples_to_the_byte()
    {
        using var folder = new TemporaryFolder();
        var tokenizer = Tokenizer();
        var data = RecordedRun.Data(Numbers.Json("trajectories", "gpt2_rmsprop", "config.json"));
        void Run(string name, int steps, int? from = null)
        {
            using var pair = Pair();
            var checkpoints = folder.File($"{name}/checkpoints");
            var options = training with
            {
                Steps = steps,
                EvaluateEvery = 1,
                Checkpoints = new() { Folder = checkpoints, Every = 1, KeepLast = 10 },
                ResumeFrom = from is { } step ? CheckpointFolder.PathOf(checkpoints, step) : null,
            };
            using var trainer = new DpoTrainer(pair, options: options);
            var comparison = new SampleComparison(pair, tokenizer, Prompts, new() { MaxNewTokens = 8, Temperature = 0 });
            using var file = new SamplesFile(folder.File(name), comparison, Checkpoints.LastReportedStep(options.ResumeFrom));
            trainer.Train(data, data, file);
        }

        Run("whole", 4);
        Run("parts", 3);
        File.AppendAllText(folder.File("parts/samples.jsonl"), "{\"step\":4,\"prompt\":\"kill");
        Run("parts", 4, from: 2);
        Assert.Equal(8, File.ReadAllLines(folder.File("whole/samples.jsonl")).Length);
        Assert.Equal(File.ReadAllText(folder.File("whole/samples.jsonl")), File.ReadAllText(folder.File("parts/samples.jsonl")));
    }

    [Fact]
    public void Cancellation_ends_the_drawing_and_nothing_of_its_step_is_written()
    {
        using var folder = new TemporaryFolder();
        using var cancellation = new CancellationTokenSource();
        using var pair = Pair();
        static TrainingMetrics Evaluated(int step) => new(step, 2, new Dictionary<string, double> { ["eval_loss"] = 0.5 }, TimeSpan.Zero);
        var comparison = new SampleComparison(pair, Tokenizer(), Prompts, new() { MaxNewTokens = 8, Temperature = 0 });
        using (var file = new SamplesFile(folder.Path, comparison, cancellationToken: cancellation.Token))
        {
            file.Report(Evaluated(1));
            cancellation.Cancel();
            Assert.Throws<OperationCanceledException>(() => file.Report(Evaluated(2)));
        }
        Assert.Equal([1, 1], File.ReadLines(folder.File("samples.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()));
    }

    [Fact]
    public void What_cannot_be_sampled_is_refused_before_training()
    {
        using var pair = Pair();
        Assert.Throws<InvalidInputException>(() => new SampleComparison(pair, Tokenizer(), [[1, 2], []]));
        Assert.Throws<InvalidInputException>(() => new SampleComparison(pair, Tokenizer(), Prompts, new() { MaxNewTokens = 100000 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SampleComparison(pair, Tokenizer(), Prompts, new() { Temperature = -1 }));
    }

    [Fact]
    public void Draws_of_the_reference_follow_it_when_it_moves()
    {
        using var pair = Pair();
        using (TorchSharp.torch.no_grad())
        {
            foreach (var parameter in pair.Policy.parameters())
                parameter.mul_(-1.5f);
        }
        var comparison = new SampleComparison(pair, Tokenizer(), Prompts, new() { MaxNewTokens = 8, Temperature = 0 });
        Assert.All(comparison.Draw(), sample => Assert.NotEqual(sample.Policy, sample.Reference));
        pair.MoveReference(1);
        Assert.All(comparison.Draw(), sample => Assert.Equal(sample.Policy, sample.Reference));
    }

    [Fact]
    public void Without_a_reference_the_policy_speaks_alone()
    {
        using var folder = new TemporaryFolder();
        var tokenizer = Tokenizer();
        var data = RecordedRun.Data(Numbers.Json("trajectories", "gpt2_rmsprop", "config.json"));
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        var options = new SamplingOptions { MaxNewTokens = 12, Temperature = 0 };
        using (var trainer = new DpoTrainer(policy, new SimPoLoss(), training))
        using (var file = new SamplesFile(folder.Path, new SampleComparison(policy, tokenizer, Prompts, options)))
            trainer.Train(data, data, file);
        var rows = File.ReadAllLines(folder.File("samples.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal(4, rows.Length);
        Assert.All(rows, row => Assert.Equal(["step", "prompt", "policy"], row.EnumerateObject().Select(property => property.Name)));
        Assert.Equal(
            Sampler.Sample(policy, Prompts, options, tokenizer).Select(sample => sample.Text), rows[2..].Select(row => row.GetProperty("policy").GetString()));
    }
}
