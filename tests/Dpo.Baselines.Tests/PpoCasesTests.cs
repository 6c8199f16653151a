using System.Text.Json;
using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>PPO's arithmetic against recorded numbers (<c>Fixtures/ppo/cases.json</c>), in float64.</summary>
public class PpoCasesTests
{
    private const double Tolerance = 1e-10;

    private static readonly JsonElement cases = Numbers.Json("ppo", "cases.json");
    private static readonly int[] lengths = cases.GetProperty("lengths").Ints();

    [Fact]
    public void Advantages_and_returns()
    {
        var block = cases.GetProperty("gae");
        var (rewards, values) = (Rows(block, "rewards"), Rows(block, "values"));
        foreach (var one in block.GetProperty("cases").EnumerateArray())
        {
            var all = rewards.Zip(values, (reward, value) =>
                Advantages.Gae(reward, value, one.GetProperty("gamma").GetDouble(), one.GetProperty("lam").GetDouble())).ToArray();
            AssertRows(one, "advantages", [.. all.Select(of => of.Advantages)]);
            AssertRows(one, "returns", [.. all.Select(of => of.Returns)]);
            AssertRows(one, "whitened", Advantages.Whiten([.. all.Select(of => of.Advantages)], keepMean: false));
        }
    }

    [Fact]
    public void Whitening()
    {
        var block = cases.GetProperty("whitening");
        AssertRows(block, "shifted", Advantages.Whiten(Rows(block, "values"), keepMean: false));
        AssertRows(block, "mean_kept", Advantages.Whiten(Rows(block, "values"), keepMean: true));
    }

    [Fact]
    public void The_policy_s_loss()
    {
        var block = cases.GetProperty("policy_loss");
        using var logProbs = Flat(block, "new_logprobs").requires_grad_();
        using var old = Flat(block, "old_logprobs");
        var (losses, clipped) = ClippedLosses.Policy(
            logProbs, old, Flat(block, "advantages"), block.GetProperty("cliprange").GetDouble());
        AssertClose(block, "loss", losses.mean());
        AssertClose(block, "clip_fraction", clipped.to(float64).mean());
        AssertClose(block, "approx_kl_half_squared", (logProbs - old).square().mean() * 0.5);
        losses.mean().backward();
        Numbers.AssertClose([.. Rows(block, "grad_new_logprobs").SelectMany(of => of)], logProbs.grad!.ToDoubles(), Tolerance);
    }

    [Fact]
    public void The_values_loss()
    {
        var block = cases.GetProperty("value_loss");
        using var values = Flat(block, "values").requires_grad_();
        var (losses, clipped) = ClippedLosses.Value(
            values, Flat(block, "old_values"), Flat(block, "returns"), block.GetProperty("cliprange_value").GetDouble());
        AssertClose(block, "loss", losses.mean());
        AssertClose(block, "clip_fraction", clipped.to(float64).mean());
        losses.mean().backward();
        Numbers.AssertClose([.. Rows(block, "grad_values").SelectMany(of => of)], values.grad!.ToDoubles(), Tolerance);
    }

    [Fact]
    public void Rewards_less_the_KL()
    {
        var block = cases.GetProperty("kl_reward");
        var (own, reference) = (Rows(block, "logprobs"), Rows(block, "ref_logprobs"));
        var ended = block.GetProperty("contains_eos").EnumerateArray().Select(value => value.GetBoolean()).ToArray();
        var sampling = new RolloutSampling(
            null!, Pair(), null!, null, new PpoOptions { MissingEndPenalty = block.GetProperty("missing_eos_penalty").GetDouble() });
        double[] scores = [.. block.GetProperty("scores").Doubles().Zip(ended, sampling.Worth)];
        Numbers.AssertClose(block.GetProperty("penalised_scores").Doubles(), scores, Tolerance);
        var narrow = new RolloutSampling(null!, Pair(), null!, null, new PpoOptions { MissingEndPenalty = 1, ScoreRange = 2 });
        Assert.Equal([2, -3, 0.5], [narrow.Worth(7, ended: true), narrow.Worth(-7, ended: false), narrow.Worth(0.5, ended: true)]);
        foreach (var one in block.GetProperty("cases").EnumerateArray())
        {
            var estimator = one.GetProperty("estimator").GetString() == "k1" ? KlEstimator.K1 : KlEstimator.K3;
            var coefficient = one.GetProperty("kl_coef").GetDouble();
            double[][] kl = [.. own.Zip(reference, (of, other) => Advantages.Kl(of, other, estimator))];
            AssertRows(one, "kl", kl);
            Numbers.AssertClose(one.GetProperty("kl_per_row").Doubles(), [.. kl.Select(of => of.Sum())], Tolerance);
            double[][] rewards = [.. kl.Zip(scores, (of, score) => Advantages.Rewards(of, coefficient, score))];
            AssertRows(one, "rewards", rewards);
            Numbers.AssertClose(one.GetProperty("mean_rlhf_reward").GetDouble(), rewards.Average(of => of.Sum()), Tolerance);
            AssertRows(one, "rewards_whitened_mean_kept", Advantages.Whiten(rewards, keepMean: true));
        }
    }

    /// <summary>OpenAI's code and the paper of Ziegler et al. differ in the gain alone.</summary>
    [Theory]
    [InlineData("coef_after_update_horizon")]
    [InlineData("coef_after_update_ziegler")]
    public void The_weight_of_the_KL_follows_its_target(string name)
    {
        var block = cases.GetProperty("adaptive_kl");
        double Number(string field) => block.GetProperty(field).GetDouble();
        var gain = name.EndsWith("horizon", StringComparison.Ordinal) ? Number("n_steps") / Number("horizon") : Number("k_beta");
        var control = new KlControl(Number("init"), Number("target"), gain);
        foreach (var (kl, expected) in block.GetProperty("observed_kl").Doubles().Zip(block.GetProperty(name).Doubles()))
        {
            control.Observe(kl);
            Numbers.AssertClose(expected, control.Coefficient, Tolerance);
        }
        var fixedOne = new KlControl(0.2, target: null, gain);
        fixedOne.Observe(100);
        Assert.Equal(0.2, fixedOne.Coefficient);
    }

    private static Dpo.Training.PolicyReferencePair Pair() =>
        new(new Dpo.Models.Architectures.Gpt2(new() { VocabularySize = 4, MaxPositions = 4, HiddenSize = 4, LayerCount = 1, HeadCount = 1 }));

    /// <summary>Rows without their padding.</summary>
    private static double[][] Rows(JsonElement block, string name) =>
        [.. block.GetProperty(name).EnumerateArray().Zip(lengths, (row, length) => row.Doubles()[..length])];

    private static Tensor Flat(JsonElement block, string name) => tensor(Rows(block, name).SelectMany(of => of).ToArray(), float64);

    private static void AssertRows(JsonElement block, string name, IReadOnlyList<double[]> actual)
    {
        foreach (var (expected, row) in Rows(block, name).Zip(actual))
            Numbers.AssertClose(expected, row, Tolerance, name);
    }

    private static void AssertClose(JsonElement block, string name, Tensor actual) =>
        Numbers.AssertClose(block.GetProperty(name).GetDouble(), actual.ToDoubles()[0], Tolerance, name);
}
