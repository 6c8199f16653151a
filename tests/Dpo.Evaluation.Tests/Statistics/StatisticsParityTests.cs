using System.Text.Json;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Statistics;

/// <summary>Every number of the fixtures under <c>stats</c>; its README says how they were made.</summary>
public class StatisticsParityTests
{
    private const double Tolerance = 1e-9;

    [Fact]
    public void Win_rates_Wilson_intervals_and_sign_tests()
    {
        foreach (var one in Numbers.Json("stats", "win_rates.json").GetProperty("cases").EnumerateArray())
        {
            var rate = new WinRate(one.GetProperty("wins").GetInt32(), one.GetProperty("ties").GetInt32(), one.GetProperty("losses").GetInt32());
            var half = rate.TiesAsHalf();
            Close(one, "win_rate_ties_half", half.Value);
            Close(one, "standard_error", half.StandardError);
            Close(one, "win_rate_without_ties", rate.WithoutTies().Value);
            Close(one, "sign_test_p_two_sided", rate.SignTest());
            foreach (var level in (double[])[0.95, 0.9])
            {
                Close(one, $"wilson_ties_half_{level}", rate.TiesAsHalf(level).Interval);
                Close(one, $"wilson_without_ties_{level}", rate.WithoutTies(level).Interval);
            }
        }
    }

    [Fact]
    public void Bootstraps_with_given_resamples()
    {
        var recorded = Numbers.Json("stats", "win_rates.json").GetProperty("bootstrap");
        var verdicts = recorded.GetProperty("verdicts").Doubles();
        double[] means = [.. recorded.GetProperty("indices").EnumerateArray().Select(drawn => drawn.Ints().Average(index => verdicts[index]))];
        Numbers.AssertClose(recorded.GetProperty("resample_means").Doubles(), means, Tolerance);
        var estimate = Bootstrap.Of(verdicts.Length, verdicts.Average(), means);
        Close(recorded, "interval_95", estimate.Interval);
        Close(recorded, "interval_80", Interval.Percentile(means, 0.8));
        Close(recorded, "standard_error", estimate.StandardError);
    }

    [Fact]
    public void Bradley_Terry_ratings_with_their_errors()
    {
        var recorded = Numbers.Json("stats", "bradley_terry.json");
        var games = Games(recorded);
        var fit = BradleyTerry.Fit(games);
        string[] models = ["0", "1", "2", "3"];
        Close(recorded, "theta", models.Select(fit.Strength));
        Close(recorded, "log_likelihood", fit.LogLikelihood);
        Close(recorded, "ratings_mean_1000", models.Select(model => fit.Rating(model).Value));
        Close(recorded, "ratings_model0_1000", models.Select(model => 1000 + (model == "0" ? 0 : fit.Difference(model, "0").Value)));
        Close(recorded, "standard_errors", models.Select(model => fit.Rating(model).StandardError));
        foreach (var (model, interval) in models.Zip(recorded.GetProperty("interval_95").EnumerateArray()))
        {
            Numbers.AssertClose(interval.Doubles(), [fit.Rating(model).Interval.Low, fit.Rating(model).Interval.High], Tolerance, model);
            var (errors, chances) = (recorded.GetProperty("standard_errors_of_differences"), recorded.GetProperty("win_probabilities"));
            foreach (var other in models)
            {
                var (i, j) = (int.Parse(model), int.Parse(other));
                Numbers.AssertClose(errors[i][j].GetDouble(), fit.Difference(model, other).StandardError, 2e-8); // of 0 a root is taken
                Numbers.AssertClose(chances[i][j].GetDouble(), fit.WinProbability(model, other), Tolerance);
            }
        }
        Assert.Equal(["0", "2", "3", "1"], fit.Models);
    }

    [Fact]
    public void Bradley_Terry_bootstraps_with_given_counts_and_online_Elo()
    {
        var recorded = Numbers.Json("stats", "bradley_terry.json");
        var games = Games(recorded);
        string[] models = ["0", "1", "2", "3"];
        var resampled = recorded.GetProperty("bootstrap").GetProperty("counts").EnumerateArray()
            .Select(counts => BradleyTerry.Fit(games, counts.Doubles())).ToArray();
        foreach (var (fit, ratings) in resampled.Zip(recorded.GetProperty("bootstrap").GetProperty("ratings").EnumerateArray()))
            Numbers.AssertClose(ratings.Doubles(), [.. models.Select(model => fit.Rating(model).Value)], Tolerance);
        foreach (var (model, interval) in models.Zip(recorded.GetProperty("bootstrap").GetProperty("interval_95").EnumerateArray()))
        {
            var own = Interval.Percentile([.. resampled.Select(fit => fit.Rating(model).Value)]);
            Numbers.AssertClose(interval.Doubles(), [own.Low, own.High], Tolerance);
        }
        foreach (var byStep in recorded.GetProperty("elo_online_by_k").EnumerateObject())
        {
            var elo = Elo.Ratings(games, double.Parse(byStep.Name));
            Numbers.AssertClose(byStep.Value.Doubles(), [.. models.Select(model => elo[model])], Tolerance);
        }
    }

    /// <summary>The exact values of the README; between solvers it expects 1e-6, and 2e-4 of AlpacaEval's own, which stops
    /// early.</summary>
    [Fact]
    public void The_length_controlled_win_rate()
    {
        var recorded = Numbers.Json("stats", "alpaca_lc.json");
        var fit = LengthControlledWinRate.Of(Rows(recorded), Gamed(recorded));
        Close(recorded, "Cs", fit.HeldOutScores.Index().Select(score => Math.Pow(10, -4 + (8.0 * score.Index / 9))));
        Close(recorded, "mean_cv_score_by_C", fit.HeldOutScores);
        Close(recorded, "selected_C", fit.PenaltyInverse);
        double[] coefficients = [fit.LengthCoefficient, fit.DifficultyCoefficient, fit.ModelCoefficient];
        Close(recorded, "coefficients", coefficients);
        Numbers.AssertClose(recorded.GetProperty("length_controlled_winrate").GetDouble(), 100 * fit.Rate.Value, Tolerance);
        Close(recorded, "predictions_first5", fit.Predictions.Take(5));
        Close(recorded, "win_rate", 100 * fit.Plain.Value);
        Close(recorded, "standard_error", 100 * fit.Plain.StandardError);

        var theirs = recorded.GetProperty("alpaca_eval_code");
        Numbers.AssertClose(theirs.GetProperty("coefficients").Doubles(), coefficients, 2e-4);
        Assert.Equal(theirs.GetProperty("length_controlled_winrate").GetDouble(), 100 * fit.Rate.Value, 2e-3);
        // The fit adds to what the instructions' own spread is, and the rate lies where its interval is.
        Assert.InRange(fit.Rate.StandardError, 0.03, 0.12);
        Assert.True(fit.Rate.Interval.Contains(fit.Rate.Value));
    }

    [Fact]
    public void Agreement_and_kappas()
    {
        foreach (var one in Numbers.Json("stats", "agreement.json").GetProperty("cases").EnumerateArray())
        {
            var agreement = Agreement.Of(Verdicts(one.GetProperty("judge_a")), Verdicts(one.GetProperty("judge_b")));
            Close(one, "agreement_with_ties", agreement.WithTies.Value);
            Close(one, "chance_agreement", agreement.ByChance);
            Close(one, "kappa", agreement.Kappa.Value);
            Close(one, "kappa_linear", agreement.LinearKappa);
            Close(one, "kappa_quadratic", agreement.QuadraticKappa);
            Close(one, "kappa_standard_error", agreement.Kappa.StandardError);
            Close(one, "agreement_without_ties", agreement.WithoutTies!.Value);
            Close(one, "pairs_without_ties", agreement.WithoutTies.Count);
            Close(one, "agreement_half_for_one_tie", agreement.HalfForOneTie);
        }

        static Verdict[] Verdicts(JsonElement list) => [.. list.Ints().Select(value => (Verdict)value)];
    }

    [Fact]
    public void KL_of_tokens_and_sequences()
    {
        var recorded = Numbers.Json("stats", "kl.json");
        var lengths = recorded.GetProperty("lengths").Ints();
        double[] Logits(string of, int sequence, int step) => recorded.GetProperty(of)[sequence][step].Doubles();
        foreach (var (name, value) in (IEnumerable<(string, Func<int, int, double>)>)
        [
            ("k1", (sequence, step) => OfToken(Kl.K1, sequence, step)),
            ("k2", (sequence, step) => OfToken(Kl.K2, sequence, step)),
            ("k3", (sequence, step) => OfToken(Kl.K3, sequence, step)),
            ("exact", (sequence, step) => Kl.Exact(Logits("policy_logits", sequence, step), Logits("ref_logits", sequence, step))),
            ("exact_reverse", (sequence, step) => Kl.Exact(Logits("ref_logits", sequence, step), Logits("policy_logits", sequence, step))),
        ])
        {
            double[][] values = [.. lengths.Index().Select(length => Enumerable.Range(0, length.Item).Select(step => value(length.Index, step)).ToArray())];
            foreach (var (sequence, ours) in values.Index())
                Numbers.AssertClose(recorded.GetProperty(name)[sequence].Doubles(), ours, Tolerance, name);
            if (!recorded.GetProperty("estimates").TryGetProperty(name, out var expected))
                continue;
            var estimate = KlEstimate.Of(values);
            Close(expected, "per_token_mean", estimate.PerToken.Value);
            Close(expected, "per_token_standard_error", estimate.PerToken.StandardError);
            Close(expected, "sequence_sums", values.Select(tokens => tokens.Sum()));
            Close(expected, "sequence_mean", estimate.PerSequence.Value);
            Close(expected, "sequence_standard_error", estimate.PerSequence.StandardError);
        }
        // k2 over all tokens is not the KL: its bias is the fixture's.
        foreach (var (sequence, length) in lengths.Index())
        {
            for (var step = 0; step < length; step++)
            {
                var (policy, reference) = (LogProbs(Logits("policy_logits", sequence, step)), LogProbs(Logits("ref_logits", sequence, step)));
                Numbers.AssertClose(
                    recorded.GetProperty("expected_k2")[sequence][step].GetDouble(),
                    policy.Zip(reference, (p, r) => Math.Exp(p) * Kl.K2(p, r)).Sum(), Tolerance);
            }
        }

        double OfToken(Func<double, double, double> estimator, int sequence, int step)
        {
            var token = recorded.GetProperty("token_ids")[sequence][step].GetInt32();
            return estimator(LogProbs(Logits("policy_logits", sequence, step))[token], LogProbs(Logits("ref_logits", sequence, step))[token]);
        }

        static double[] LogProbs(double[] logits)
        {
            var log = Math.Log(logits.Sum(Math.Exp));
            return [.. logits.Select(logit => logit - log)];
        }
    }

    [Fact]
    public void The_Pareto_front_and_its_area()
    {
        var recorded = Numbers.Json("stats", "pareto.json");
        double[] kl = recorded.GetProperty("kl").Doubles(), reward = recorded.GetProperty("reward").Doubles();
        var front = ParetoFront.Of(kl, reward);
        Assert.Equal(recorded.GetProperty("front").Ints(), front);
        Assert.Equal(
            recorded.GetProperty("dominated").EnumerateArray().Select(value => value.GetBoolean()),
            Enumerable.Range(0, kl.Length).Select(index => !front.Contains(index)));
        var corner = recorded.GetProperty("reference").Doubles();
        Close(recorded, "hypervolume", ParetoFront.Hypervolume(kl, reward, corner[0], corner[1]));
        Assert.Equal([1, 3, 0], ParetoFront.Of([2, 1, 2, 1, 1], [5, 4, 4, 4, 3])); // equal points stay together
    }

    [Fact]
    public void Curves_of_over_optimisation()
    {
        foreach (var one in Numbers.Json("stats", "overoptimisation.json").GetProperty("fits").EnumerateArray())
        {
            var kl = one.GetProperty("kl").Doubles();
            var fit = OverOptimizationFit.Of(
                one.GetProperty("kind").GetString() == "bon" ? OverOptimization.BestOfN : OverOptimization.ReinforcementLearning,
                kl, one.GetProperty("reward").Doubles());
            Close(one, "alpha", fit.Alpha.Value);
            Close(one, "beta", fit.Beta.Value);
            Close(one, "standard_errors", [fit.Alpha.StandardError, fit.Beta.StandardError]);
            Close(one, "residual_sum_of_squares", fit.ResidualSumOfSquares);
            Close(one, "r_squared", fit.RSquared);
            Close(one, "peak_d", Math.Sqrt(fit.PeakKl!.Value));
            Close(one, "peak_kl", fit.PeakKl.Value);
            Close(one, "peak_reward", fit.Reward(fit.PeakKl.Value));
            Close(one, "predictions", kl.Select(fit.Reward));
            Assert.True(fit.PeakKlInterval!.Value.Contains(fit.PeakKl.Value));
        }
    }

    internal static LengthControlledRow[] Rows(JsonElement recorded)
    {
        var preferences = recorded.GetProperty("preference");
        int[] baseline = recorded.GetProperty("len_1").Ints(), length = recorded.GetProperty("len_2").Ints();
        return
        [
            .. recorded.GetProperty("instruction_difficulty").Doubles().Select((difficulty, index) => new LengthControlledRow
            {
                Preference = preferences[index].ValueKind == JsonValueKind.Null ? null : preferences[index].GetDouble() is 0 ? 0.5 : preferences[index].GetDouble() - 1,
                Length = length[index],
                BaselineLength = baseline[index],
                Difficulty = difficulty,
            }),
        ];
    }

    internal static GamedRow[] Gamed(JsonElement recorded)
    {
        var gamed = recorded.GetProperty("gamed");
        return
        [
            .. gamed.GetProperty("index").Ints().Zip(gamed.GetProperty("preference").Doubles(), gamed.GetProperty("std_delta_len").Doubles())
                .Select(row => new GamedRow(row.First, row.Second, row.Third)),
        ];
    }

    private static Game[] Games(JsonElement recorded) =>
        [.. recorded.GetProperty("games").EnumerateArray().Select(game => new Game($"{game[0]}", $"{game[1]}", game[2].GetDouble()))];

    private static void Close(JsonElement recorded, string name, double actual) =>
        Numbers.AssertClose(recorded.GetProperty(name).GetDouble(), actual, Tolerance, name);

    private static void Close(JsonElement recorded, string name, IEnumerable<double> actual) =>
        Numbers.AssertClose(recorded.GetProperty(name).Doubles(), [.. actual], Tolerance, name);

    private static void Close(JsonElement recorded, string name, Interval actual) =>
        Numbers.AssertClose(recorded.GetProperty(name).Doubles(), [actual.Low, actual.High], Tolerance, name);
}
