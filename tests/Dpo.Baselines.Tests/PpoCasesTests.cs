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
        var change = new PolicyChange(logProbs, old);
        AssertClose(block, "approx_kl_half_squared", change.HalfSquared.mean());
        AssertClose(block, "approx_kl_k1", change.K1.mean());
        AssertClose(block, "approx_kl_k3", change.K3.mean());
        AssertClose(block, "mean_ratio", change.Ratios.mean());
        AssertClose(block, "ratio_outside_fraction", change.Outside(block.GetProperty("cliprange").GetDouble()).to(float64).mean());
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
        var worth = new CompletionWorth(new PpoOptions { MissingEndPenalty = block.GetProperty("missing_eos_penalty").GetDouble() });
        var scores = worth.Of(block.GetProperty("scores").Doubles(), ended);
        Numbers.AssertClose(block.GetProperty("penalised_scores").Doubles(), scores, Tolerance);
        foreach (var one in block.GetProperty("cases").EnumerateArray())
        {
            var estimator = one.GetProperty("estimator").GetString() == "k1" ? KlEstimator.K1 : KlEstimator.K3;
            var coefficient = one.GetProperty("kl_coef").GetDouble();
            double[][] kl = [.. own.Zip(reference, (of, other) => Advantages.Kl(of, other, estimator))];
            AssertRows(one, "kl", kl);
            Numbers.AssertClose(one.GetProperty("kl_per_row").Doubles(), [.. kl.Select(of => of.Sum())], Tolerance);
            double[][] rewards = [.. kl.Zip(scores, (of, score) => Advantages.Rewards(of, coefficient, score, of.Length))];
            AssertRows(one, "rewards", rewards);
            Numbers.AssertClose(one.GetProperty("mean_rlhf_reward").GetDouble(), rewards.Average(of => of.Sum()), Tolerance);
            AssertRows(one, "rewards_whitened_mean_kept", Advantages.Whiten(rewards, keepMean: true));
        }
    }

    [Fact]
    public void What_is_scored_ends_at_a_token()
    {
        var block = cases.GetProperty("truncate");
        var (stop, padding) = (block.GetProperty("stop_token_id").GetInt32(), block.GetProperty("pad_token_id").GetInt32());
        var rows = block.GetProperty("responses").EnumerateArray().Select(row => row.Ints()).ToArray();
        var cut = rows.Select(row => ScoreCut.Of(row, from: 0, id => id == stop)).ToArray();
        Assert.Equal(block.GetProperty("response_tokens").Ints(), cut.Select(of => of.Ids.Count));
        Assert.Equal(block.GetProperty("contains_eos").EnumerateArray().Select(value => value.GetBoolean()), cut.Select(of => of.IsEnded));
        foreach (var (expected, (ids, _)) in block.GetProperty("truncated").EnumerateArray().Zip(cut))
            Assert.Equal(expected.Ints(), ids.Concat(Enumerable.Repeat(padding, rows[0].Length - ids.Count)));
        // From a place on: an end before it is none.
        AssertCut([5, 0, 6, 0], isEnded: true, ScoreCut.Of([5, 0, 6, 0, 7], from: 2, id => id == stop));
        AssertCut([5, 0, 6], isEnded: false, ScoreCut.Of([5, 0, 6], from: 2, id => id == stop));

        static void AssertCut(int[] ids, bool isEnded, (IReadOnlyList<int> Ids, bool IsEnded) cut)
        {
            Assert.Equal(ids, cut.Ids);
            Assert.Equal(isEnded, cut.IsEnded);
        }
    }

    [Fact]
    public void Scores_are_cut_scaled_and_replaced()
    {
        double[] Worth(PpoOptions options, params (double Score, bool IsEnded)[] of) =>
            new CompletionWorth(options).Of([.. of.Select(one => one.Score)], [.. of.Select(one => one.IsEnded)]);
        Assert.Equal([2, -3, 0.5], Worth(new() { MissingEndPenalty = 1, ScoreRange = 2 }, (7, true), (-7, false), (0.5, true)));
        Assert.Equal([7, -1], Worth(PpoOptions.NPlus, (7, true), (-7, false)));
        // Deviations of all so far, with n − 1: of 1, 3 it is √2; of 1, 3, 10 and −10, as 11 and −20 are cut, it is √(202 / 3).
        var scaled = new CompletionWorth(PpoOptions.TrlxHelpfulHarmless);
        Numbers.AssertClose([1 / Math.Sqrt(2), 3 / Math.Sqrt(2)], scaled.Of([1, 3], [true, true]), Tolerance);
        using var state = scaled.State().Single().Tensor;
        var deviation = Math.Sqrt(((0 * 0) + (2 * 2) + (9 * 9) + (11 * 11)) / 3.0);
        Numbers.AssertClose([10 / deviation, -10 / deviation], scaled.Of([11, -20], [true, true]), Tolerance);
        // A run that goes on has seen what the one before it had.
        var resumed = new PpoState(new KlControl(1, null, 0), new CompletionWorth(PpoOptions.TrlxHelpfulHarmless));
        Assert.Equal("kl_coefficient", Assert.Single(resumed.State()).Name);
        var again = new CompletionWorth(PpoOptions.TrlxHelpfulHarmless);
        again.LoadState([("score_moments", state)]);
        Numbers.AssertClose([10 / deviation, -10 / deviation], again.Of([11, -20], [true, true]), Tolerance);
        // Nothing to scale by yet.
        Assert.Equal([4], Worth(PpoOptions.TrlxHelpfulHarmless, (4, true)));
    }

    [Fact]
    public void Entropies()
    {
        var block = cases.GetProperty("entropy");
        foreach (var (rows, expected) in block.GetProperty("logits").EnumerateArray().Zip(Rows(block, "per_token")))
        {
            using var logits = stack(rows.EnumerateArray().Select(row => tensor(row.Doubles(), float64)));
            var entropies = RowStatistics.Of(logits, new() { Statistics = true }).Entropies!.ToDoubles();
            Numbers.AssertClose(expected, entropies[..expected.Length], Tolerance);
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
