using System.Text.Json;
using TorchSharp;

namespace Dpo.Tests;

/// <summary>Runs of TRL's own trainer, replayed: every recorded step's numbers must come out again.</summary>
public class TrajectoryTests
{
    private static readonly string[] Metrics =
    [
        "loss", "grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen",
        "logps/rejected", "num_tokens",
    ];

    private static readonly string[] TokenMetrics = ["logits/chosen", "logits/rejected", "entropy", "mean_token_accuracy"];

    public static TheoryData<string> Runs =>
    [
        "gpt2_rmsprop", "gpt2_adamw", "gpt2_warmup_accum2", "gpt2_linear_truncated", "gpt2_ipo",
        "llama_rmsprop", "llama_adamw", "llama_warmup_accum2", "llama_ipo",
    ];

    [Theory]
    [MemberData(nameof(Runs))]
    public void Every_step_equals_TRLs(string run) => Replay(run, torch.CPU);

    internal static void Replay(string run, torch.Device device)
    {
        var config = Numbers.Json("trajectories", run, "config.json");
        var expected = Numbers.Json("trajectories", run, "expected.json").GetProperty("steps");
        var accumulated = config.GetProperty("gradient_accumulation_steps").GetInt32();
        var size = config.GetProperty("per_device_train_batch_size").GetInt32() * accumulated;
        using var pair = PolicyReferencePair.Load(Fixture.Path("models", run.Split('_')[0]), device);
        var loss = new LossOptions { Names = [config.GetProperty("loss_type").GetString()!], Beta = config.GetProperty("beta").GetDouble() }.Create();
        using var trainer = new DpoTrainer(pair, loss, RecordedRun.Options(config) with { DetailedMetrics = true });
        var steps = new List<TrainingMetrics>();
        var data = RecordedRun.Data(config);

        // TRL's average of an update over tokens is the mean of its micro-batches' averages; ours is over all the update's tokens.
        // So those of a step with several micro-batches are taken of each by itself, with the weights before the step.
        var ofMicroBatches = new List<double[]> { TokenAverages() };
        trainer.Train(data, progress: Progress.All(new Recorder(steps), new AfterEachStep(() => ofMicroBatches.Add(TokenAverages()))));

        Assert.Equal(expected.GetArrayLength(), steps.Count);
        foreach (var (step, values) in steps.Zip(expected.EnumerateArray()))
        {
            foreach (var name in Metrics)
                Numbers.AssertClose(values.GetProperty(name).GetDouble(), step[name], 1e-4, $"step {step.Step}, {name}");
            foreach (var (name, ofMicroBatch) in TokenMetrics.Zip(ofMicroBatches[step.Step - 1]))
            {
                Numbers.AssertClose(values.GetProperty(name).GetDouble(), ofMicroBatch, 1e-4, $"step {step.Step}, {name} of micro-batches");
                if (accumulated == 1)
                    Numbers.AssertClose(values.GetProperty(name).GetDouble(), step[name], 1e-4, $"step {step.Step}, {name}");
            }
            Numbers.AssertClose(values.GetProperty("learning_rate_used").GetDouble(), step["learning_rate"], 1e-9, "learning rate");
        }
        AssertWeights(Numbers.Json("trajectories", run, "expected.json").GetProperty("final_weights"), pair.Policy);

        double[] TokenAverages()
        {
            var batch = Enumerable.Repeat(data, 3).SelectMany(epoch => epoch.Batches(size)).ElementAt(steps.Count);
            var parts = batch.Examples.Chunk(size / accumulated).Select(part => trainer.Evaluate(new PreferenceData(part))).ToArray();
            return [.. TokenMetrics.Select(name => parts.Average(part => part["eval_" + name]))];
        }
    }

    private sealed class AfterEachStep(Action action) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value) => action();
    }

    private static void AssertWeights(JsonElement expected, CausalLanguageModel policy)
    {
        foreach (var (name, parameter) in policy.named_parameters())
        {
            // An adaptive optimizer turns the rounding noise of the key bias's zero gradient into steps.
            if (name.EndsWith("c_attn.bias", StringComparison.Ordinal))
                continue;
            var weight = expected.GetProperty(name);
            var values = parameter.detach().flatten().ToDoubles();
            Numbers.AssertClose(weight.GetProperty("l2").GetDouble(), Math.Sqrt(values.Sum(value => value * value)), 1e-4, name + " norm");
            Numbers.AssertClose(weight.GetProperty("first").Doubles(), values[..4], 1e-4, name);
        }
    }
}
