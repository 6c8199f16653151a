using System.Text.Json;
using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>The recorded numbers of transformers and TRL (tests/Fixtures), computed on a device.</summary>
internal sealed class FixtureChecks(Device device, bool quick)
{
    private static readonly string[] Metrics = ["loss", "grad_norm", "rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected"];

    private static readonly string[] Architectures =
    [
        "gpt2", "gptj", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "variants/mistral_window", "variants/gemma2_window",
    ];

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Fixtures");

    public IEnumerable<Check> Run()
    {
        foreach (var architecture in quick ? ["gpt2", "gemma2"] : Architectures)
        {
            yield return Check.Of($"{architecture}: log-probabilities, fp32, against transformers", 1e-4, () => LogProbs(architecture, Precision.Float32));
            yield return Check.Of($"{architecture}: log-probabilities, bf16, against transformers", 0.05, () => LogProbs(architecture, Precision.BFloat16));
            yield return Check.Of($"{architecture}: greedy text, tokens that differ", 0, () => GreedyText(architecture));
        }
        foreach (var run in quick ? ["llama_rmsprop"] : Trajectories())
            yield return Check.Of($"{run}: every step against TRL's", 2e-4, () => Trajectory(run));
    }

    private double LogProbs(string architecture, Precision precision)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = CausalLanguageModel.Load(Path.Combine(Folder, "models", architecture), device);
        model.Precision = precision;
        return Json("models", architecture, "expected.json").GetProperty("sequences").EnumerateArray().Max(sequence =>
        {
            var ids = Ints(sequence.GetProperty("ids"));
            var start = sequence.GetProperty("completion_start").GetInt32();
            var perToken = Doubles(sequence.GetProperty("token_logprobs"));
            var batch = new PreferenceBatch([new(ids[..start], [ids[start..]], []), new(ids[..1], [ids[1..]], [])]);
            var logProbs = CompletionLogProbs.Compute(model, batch.To(device)).PerToken.cpu().data<float>().Select(value => (double)value).ToArray();
            return Check.Worst(logProbs, [.. perToken[(start - 1)..], .. perToken]);
        });
    }

    private double GreedyText(string architecture)
    {
        using var model = CausalLanguageModel.Load(Path.Combine(Folder, "models", architecture), device);
        var greedy = Json("models", architecture, "expected.json").GetProperty("greedy");
        var sampled = Sampler.Sample(
            model, [Ints(greedy.GetProperty("prompt")), [3]], new SamplingOptions { MaxNewTokens = 16, Temperature = 0, SamplesPerPrompt = 2 });
        return sampled.Take(2).Sum(each => each.Tokens.Zip(Ints(greedy.GetProperty("generated"))).Count(pair => pair.First != pair.Second));
    }

    private double Trajectory(string run)
    {
        var config = Json("trajectories", run, "config.json");
        using var pair = PolicyReferencePair.Load(Path.Combine(Folder, "models", run.Split('_')[0]), device);
        var loss = new LossOptions { Names = [config.GetProperty("loss_type").GetString()!], Beta = config.GetProperty("beta").GetDouble() }.Create();
        using var trainer = new DpoTrainer(pair, loss, RecordedRun.Options(config));
        var steps = new List<double[]>();
        trainer.Train(RecordedRun.Data(config), progress: new StepReports(step => steps.Add([.. Metrics.Select(name => step[name])])));
        var expected = Json("trajectories", run, "expected.json").GetProperty("steps").EnumerateArray();
        return Check.Worst(
            [.. steps.SelectMany(step => step)], [.. expected.SelectMany(step => Metrics.Select(name => step.GetProperty(name).GetDouble()))]);
    }

    private static IEnumerable<string> Trajectories() =>
        Directory.GetDirectories(Path.Combine(Folder, "trajectories")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal);

    private static JsonElement Json(params string[] parts) => JsonDocument.Parse(File.ReadAllText(Path.Combine([Folder, .. parts]))).RootElement;

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];

    private static double[] Doubles(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetDouble())];
}
