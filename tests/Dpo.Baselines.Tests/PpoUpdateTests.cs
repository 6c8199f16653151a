using Dpo.Tests;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>A whole round of PPO against recorded numbers (<c>Fixtures/ppo/update_shared.json</c>).</summary>
public class PpoUpdateTests
{
    private const double Tolerance = 1e-4;

    [Fact]
    public void Every_number_of_an_update()
    {
        var recorded = Numbers.Json("ppo", "update_shared.json");
        var settings = recorded.GetProperty("hyper_parameters");
        double Number(string name) => settings.GetProperty(name).GetDouble();
        var options = new PpoOptions
        {
            Gamma = Number("gamma"),
            Lambda = Number("lam"),
            ClipRange = Number("cliprange"),
            ValueClipRange = Number("cliprange_value"),
            ValueCoefficient = Number("vf_coef"),
            KlCoefficient = Number("kl_coef"),
            LearningRate = Number("lr"),
            Epsilon = Number("adam_eps"),
            MaxGradNorm = Number("max_grad_norm"),
            MissingEndPenalty = Number("missing_eos_penalty"),
            // Two completions at a time: no result depends on it.
            MicroBatchTokens = 64,
        };
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        using var pair = new PolicyReferencePair(policy, CausalLanguageModel.Load(Fixture.Path("models", "gpt2_sharded")));
        using var models = new ActorCritic(policy, value: null, temperature: 1);
        using (var head = ModelWeights.OpenFile(Fixture.Path("ppo", "v_head.safetensors")))
        using (no_grad())
        {
            var own = models.named_parameters().ToDictionary(named => named.name, named => (Tensor)named.parameter);
            head.LoadInto([("v_head.summary.weight", own["v_head.weight"]), ("v_head.summary.bias", own["v_head.bias"])], ignored: null);
        }

        var rows = recorded.GetProperty("rows").EnumerateArray().ToArray();
        TrainingExample[] examples =
            [.. rows.Select(row => new TrainingExample(row.GetProperty("prompt").Ints(), [row.GetProperty("response").Ints()], []))];
        bool[] ended = [.. examples.Select(example => example.Completions[0][^1] == recorded.GetProperty("eos_token_id").GetInt32())];
        var sampling = new RolloutSampling(models, pair, null!, null, options);
        double[] scores = [.. recorded.GetProperty("scores").Doubles().Zip(ended, sampling.Worth)];
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
                ("approx_kl", "approx_kl_half_squared"),
            ])
                Numbers.AssertClose(values.GetProperty(theirs).GetDouble(), step[name], Tolerance, $"step {step.Step}, {name}");
            Numbers.AssertClose(values.GetProperty("weights_l2_after").GetDouble(), norm, Tolerance, $"step {step.Step}, weights");
        }
        foreach (var (name, parameter) in models.named_parameters().Where(named => !named.name.EndsWith("c_attn.bias", StringComparison.Ordinal)))
        {
            var weight = recorded.GetProperty("final_weights").GetProperty(name switch
            {
                "v_head.weight" => "w",
                "v_head.bias" => "b",
                _ => name,
            });
            Numbers.AssertClose(weight.GetProperty("l2").GetDouble(), parameter.norm().ToDoubles()[0], Tolerance, name);
            var first = weight.GetProperty("first").Doubles();
            Numbers.AssertClose(first, parameter.detach().flatten().ToDoubles()[..first.Length], Tolerance, name);
        }

        void AssertRows(string name, Func<Rollout, IReadOnlyList<double>> values)
        {
            foreach (var (row, rollout) in recorded.GetProperty(name).EnumerateArray().Zip(rollouts))
            {
                var actual = values(rollout);
                Numbers.AssertClose(row.Doubles()[..actual.Count], actual, Tolerance, name);
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
