using System.Text.Json;
using Dpo.Tests;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>A whole round of PPO against recorded numbers.</summary>
public class PpoUpdateTests
{
    private const double Tolerance = 1e-4;

    /// <summary>A head on the policy's hidden states, and clipped gradients.</summary>
    [Fact]
    public void Every_number_of_an_update()
    {
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        using var models = new ActorCritic(policy, value: null, temperature: 1);
        using (var head = ModelWeights.OpenFile(Fixture.Path("ppo", "v_head.safetensors")))
        using (no_grad())
        {
            var own = models.named_parameters().ToDictionary(named => named.name, named => (Tensor)named.parameter);
            head.LoadInto([("v_head.summary.weight", own["v_head.weight"]), ("v_head.summary.bias", own["v_head.bias"])], ignored: null);
        }
        AssertUpdate(
            "update_shared.json", policy, models,
            new PpoOptions { MaxGradNorm = 1 }, // the fixture's
            name => name switch { "v_head.weight" => "w", "v_head.bias" => "b", _ => name });
    }

    /// <summary>TRL's conventions: a model of values, gradients as they are, and a completion that ended early is valued, and scored,
    /// behind its last token.</summary>
    [Fact]
    public void Every_number_of_TRLs_update()
    {
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        using var critic = CausalLanguageModel.LoadScalar(Fixture.Path("models", "gpt2"));
        using (var head = ModelWeights.OpenFile(Fixture.Path("reward", "head_gpt2.safetensors")))
        using (no_grad())
        {
            head.LoadInto([("score.weight", critic.Head.Weight!)], ignored: null);
            critic.Head.Weight!.mul_(5);
        }
        // TRL adds so much to the temperature, against a division by 0.
        var temperature = PpoOptions.Trl.Sampling.Temperature + 1e-7;
        using var models = new ActorCritic(policy, critic, temperature);
        AssertUpdate(
            "update_trl.json", policy, models,
            PpoOptions.Trl with { Sampling = new() { MaxNewTokens = 10, Temperature = temperature } },
            name => name == "value.score.weight" ? "w" : name.Replace("value.transformer.", "critic.", StringComparison.Ordinal));
    }

    private static void AssertUpdate(
        string fixture, TransformerModel policy, ActorCritic models, PpoOptions preset, Func<string, string> recordedName)
    {
        var recorded = Numbers.Json("ppo", fixture);
        var settings = recorded.GetProperty("hyper_parameters");
        double Number(string name) => settings.GetProperty(name).GetDouble();
        Assert.Equal(preset.MaxGradNorm, settings.GetProperty("max_grad_norm") is { ValueKind: JsonValueKind.Number } most
            ? most.GetDouble() : double.PositiveInfinity);
        var options = preset with
        {
            Gamma = Number("gamma"),
            Lambda = Number("lam"),
            ClipRange = Number("cliprange"),
            ValueClipRange = Number("cliprange_value"),
            ValueCoefficient = Number("vf_coef"),
            KlCoefficient = Number("kl_coef"),
            LearningRate = Number("lr"),
            Epsilon = Number("adam_eps"),
            MissingEndPenalty = Number("missing_eos_penalty"),
            // Two completions at a time: no result depends on it.
            MicroBatchTokens = 64,
            DetailedMetrics = true,
        };
        using var pair = new PolicyReferencePair(policy, CausalLanguageModel.Load(Fixture.Path("models", "gpt2_sharded")));
        var rows = recorded.GetProperty("rows").EnumerateArray().ToArray();
        TrainingExample[] examples =
            [.. rows.Select(row => new TrainingExample(row.GetProperty("prompt").Ints(), [row.GetProperty("response").Ints()], []))];
        bool[] ended = [.. examples.Select(example => example.Completions[0][^1] == recorded.GetProperty("eos_token_id").GetInt32())];
        var sampling = new RolloutSampling(models, pair, null!, null, options);
        var scores = sampling.Worth.Of(recorded.GetProperty("scores").Doubles(), ended);
        Numbers.AssertClose(recorded.GetProperty("penalised_scores").Doubles(), scores, 1e-10);

        var rollouts = sampling.Measure(examples, scores, ended);
        AssertRows("old_logprobs", rollout => [.. rollout.LogProbs]);
        AssertRows("ref_logprobs", rollout => [.. rollout.ReferenceLogProbs]);
        AssertRows("old_values", rollout => [.. rollout.Values]);
        sampling.Estimate(rollouts, options.KlCoefficient);
        AssertRows("kl", rollout => rollout.Kl);
        Numbers.AssertClose(recorded.GetProperty("mean_kl").GetDouble(), rollouts.Average(rollout => rollout.Kl.Sum()), Tolerance);
        AssertRows("rewards", rollout => rollout.Rewards);
        AssertRows("whitened_advantages", rollout => rollout.Advantages);
        AssertRows("returns", rollout => rollout.Returns);

        var order = recorded.GetProperty("minibatch_order").EnumerateArray().SelectMany(epoch => epoch.Ints()).ToArray();
        var objective = new PpoObjective(models, options);
        objective.Take(rollouts);
        using var optimizer = new FusedAdamW(models.parameters(), options.LearningRate, epsilon: options.Epsilon);
        using var trainer = new Trainer(
            objective, new TrainingOptions
            {
                BatchSize = settings.GetProperty("minibatch").GetInt32(),
                MaxGradNorm = options.MaxGradNorm,
                MicroBatchTokens = 64,
                Shuffle = false,
            }, optimizer);
        var steps = new List<TrainingMetrics>();
        // A norm of all but what an adaptive optimizer makes of the key bias's zero gradient.
        var norms = new List<double>();
        trainer.Train(
            new PreferenceData(order.Select(row => rollouts[row].Example)),
            progress: new AfterEach(step => { steps.Add(step); norms.Add(Norm(models, "c_attn.bias")); }));
        var expected = recorded.GetProperty("steps").EnumerateArray().ToArray();
        Assert.Equal(expected.Length, steps.Count);
        foreach (var ((step, norm), values) in steps.Zip(norms).Zip(expected))
        {
            foreach (var (name, theirs) in (IEnumerable<(string, string)>)
            [
                ("policy_loss", "policy_loss"), ("value_loss", "value_loss"), ("loss", "loss"), ("grad_norm", "grad_norm"),
                ("clip_fraction", "policy_clip_fraction"), ("value_clip_fraction", "value_clip_fraction"),
                ("approx_kl", "approx_kl_half_squared"), ("approx_kl_k3", "approx_kl_k3"), ("ratio", "mean_ratio"),
                ("entropy", "entropy"),
            ])
                Numbers.AssertClose(values.GetProperty(theirs).GetDouble(), step[name], Tolerance, $"step {step.Step}, {name}");
            Numbers.AssertClose(values.GetProperty("weights_l2_after").GetDouble(), norm, Tolerance, $"step {step.Step}, weights");
        }
        foreach (var (name, parameter) in models.named_parameters().Where(named => !named.name.EndsWith("c_attn.bias", StringComparison.Ordinal)))
        {
            var weight = recorded.GetProperty("final_weights").GetProperty(recordedName(name));
            Numbers.AssertClose(weight.GetProperty("l2").GetDouble(), parameter.norm().ToDoubles()[0], Tolerance, name);
            var first = weight.GetProperty("first").Doubles();
            Numbers.AssertClose(first, parameter.detach().flatten().ToDoubles()[..first.Length], Tolerance, name);
        }

        void AssertRows(string name, Func<Rollout, IReadOnlyList<double>> values)
        {
            foreach (var (row, rollout) in recorded.GetProperty(name).EnumerateArray().Zip(rollouts))
            {
                Numbers.AssertClose(row.Doubles(), values(rollout), Tolerance, name);
            }
        }
    }

    private static double Norm(CausalLanguageModel models, string leftOut) => Math.Sqrt(models.named_parameters()
        .Where(named => !named.name.EndsWith(leftOut, StringComparison.Ordinal))
        .Sum(named => Math.Pow(named.parameter.norm().ToDoubles()[0], 2)));

    private sealed class AfterEach(Action<TrainingMetrics> action) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value) => action(value);
    }
}
