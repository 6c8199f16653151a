using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Statistics;

/// <summary>What the fixtures do not reach: few, equal, missing and wrong numbers.</summary>
public class StatisticsBorderTests
{
    [Fact]
    public void Means_of_too_few_or_odd_numbers_are_refused()
    {
        Assert.Contains("there is 1.", Assert.Throws<ArgumentException>(() => Estimate.OfMean([1])).Message, StringComparison.Ordinal);
        Assert.Contains("Observation 1 is NaN", Assert.Throws<ArgumentException>(() => Estimate.OfMean([1, double.NaN, 2])).Message, StringComparison.Ordinal);
        Assert.Contains("leave out seeds", Assert.Throws<ArgumentException>(() => Estimate.OfPairedDifference([1, 2], [1])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Estimate.OfMean([1, 2], level: 1));
        // t of 2 degrees of freedom is 4.302652729749464.
        var mean = Estimate.OfMean([1, 2, 6]);
        Numbers.AssertClose([3, Math.Sqrt(7.0 / 3), 3 - (4.302652729749464 * Math.Sqrt(7.0 / 3))], [mean.Value, mean.StandardError, mean.Interval.Low], 1e-9);
        var difference = Estimate.OfPairedDifference([1, 2, 3], [2, 4, 9]);
        Assert.Equal((3, mean.StandardError, 3), (difference.Value, difference.StandardError, difference.Count));
    }

    [Fact]
    public void Draws_of_a_bootstrap_follow_from_the_seed()
    {
        int[][] Of(int seed, int resamples) => [.. Bootstrap.Draws(5, resamples, seed).Select(drawn => drawn.ToArray())];
        Assert.Equal(Of(3, 20)[..10], Of(3, 10));
        Assert.NotEqual(Of(4, 10), Of(3, 10));
        Assert.Equal([0, 1, 2, 4, 0], Of(0, 2)[0]); // whatever the version of .NET
        Assert.All(Of(1, 200).SelectMany(drawn => drawn).CountBy(index => index), index => Assert.InRange(index.Value, 150, 250));
        Assert.Equal((0.5, 0), (Bootstrap.OfMean([0.5, 0.5]).Value, Bootstrap.OfMean([0.5, 0.5]).StandardError));
    }

    [Fact]
    public void Rates_of_nothing_are_refused_and_of_one_have_no_error()
    {
        Assert.Throws<InvalidOperationException>(() => WinRate.Of([]).TiesAsHalf());
        Assert.Throws<InvalidOperationException>(() => WinRate.Of([Verdict.Tie]).WithoutTies());
        Assert.True(double.IsNaN(WinRate.Of([Verdict.Win]).TiesAsHalf().StandardError));
        Assert.Equal(1, WinRate.Of([Verdict.Tie]).SignTest());
        Assert.Equal(new WinRate(2, 1, 0), WinRate.Of([Verdict.Win, Verdict.Tie, Verdict.Win]));
    }

    [Fact]
    public void Models_that_never_lose_or_never_meet_have_no_rating()
    {
        Game[] games = [new("a", "b", Verdict.Win), new("b", "c", Verdict.Win), new("c", "b", Verdict.Win)];
        Assert.StartsWith(
            "No other model took a point of a, so that", Assert.Throws<InvalidInputException>(() => BradleyTerry.Fit(games)).Message, StringComparison.Ordinal);
        Assert.StartsWith("Ratings take games", Assert.Throws<InvalidInputException>(() => BradleyTerry.Fit([])).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "No other model took a point of a, b,",
            Assert.Throws<InvalidInputException>(() => BradleyTerry.Fit([new("a", "b", Verdict.Tie), new("c", "d", Verdict.Tie)])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new Game("a", "a", 1.0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Game("a", "b", 1.5));
        // One game of many: 3 of 4 points are odds of 3, and two of three resamples have one winner.
        var fit = BradleyTerry.Fit([new("a", "b", Verdict.Win), new("b", "a", Verdict.Loss), new("a", "b", Verdict.Win), new("b", "a", Verdict.Win)]);
        Numbers.AssertClose(Math.Log(3), fit.Strength("a") - fit.Strength("b"), 1e-12);
        Assert.Equal(0.75, fit.WinProbability("a", "b"), 12);
        Assert.Throws<ArgumentException>(() => fit.Rating("d"));
        Assert.Equal(fit.Rating("a").Value, fit.Resampled(resamples: 50)["a"].Value);
        var hardly = BradleyTerry.Fit([new("a", "b", Verdict.Win), new("b", "a", Verdict.Win), new("b", "c", Verdict.Win), new("c", "b", Verdict.Win)]);
        Assert.Contains("give every model a finite rating", Assert.Throws<InvalidOperationException>(() => hardly.Resampled()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_length_controlled_rate_without_difficulties_lengths_or_losses_is_finite()
    {
        LengthControlledRow Row(double? preference, int length) => new() { Preference = preference, Length = length, BaselineLength = 100 };
        var plain = LengthControlledWinRate.Of([.. Enumerable.Range(0, 400).Select(index => Row(index % 4 == 0 ? 0 : 1, 100))]);
        Assert.Equal((0, 0), (plain.LengthCoefficient, plain.DifficultyCoefficient));
        Assert.Equal(0.75, plain.Rate.Value, 0.005);
        // Nothing else is fitted, and the error is that of a rate.
        Assert.Equal(Math.Sqrt(0.75 * 0.25 / 400), plain.Rate.StandardError, 1e-4);
        var sure = LengthControlledWinRate.Of([.. Enumerable.Range(0, 50).Select(index => Row(1, 100 + index))]);
        Assert.InRange(sure.Rate.Value, 0.99, 1);
        Assert.True(sure.Rate.Interval is { Low: > 0.9, High: <= 1 });
    }

    [Fact]
    public void Rows_that_cannot_be_fitted_are_refused()
    {
        LengthControlledRow[] rows = [.. Enumerable.Range(0, 6).Select(index => new LengthControlledRow { Preference = index < 4 ? 1 : null, Length = 1, BaselineLength = 2 })];
        Assert.Contains("and there are 4", Refusal(rows), StringComparison.Ordinal);
        rows[4] = rows[5] = rows[0] with { Preference = 1.5 };
        Assert.Contains("row 4 is 1.5", Refusal(rows), StringComparison.Ordinal);
        rows[4] = rows[5] = rows[0] with { Difficulty = double.NaN };
        Assert.Contains("difficulty of row 4", Refusal(rows), StringComparison.Ordinal);
        rows[4] = rows[5] = rows[0];
        Assert.StartsWith("Gamed row 1 names", Refusal(rows, new(5, 1, 0), new(6, 1, 0)), StringComparison.Ordinal);

        static string Refusal(LengthControlledRow[] rows, params GamedRow[] gamed) =>
            Assert.Throws<ArgumentException>(() => LengthControlledWinRate.Of(rows, gamed)).Message;
    }

    /// <summary>Of 10 verdicts shares that were added up one by one are not exactly 1.</summary>
    [Theory]
    [InlineData(2, Verdict.Tie)]
    [InlineData(10, Verdict.Win)]
    [InlineData(100, Verdict.Loss)]
    public void A_judge_of_one_verdict_has_no_kappa(int count, Verdict verdict)
    {
        Verdict[] verdicts = [.. Enumerable.Repeat(verdict, count)];
        var agreement = Agreement.Of(verdicts, verdicts);
        Assert.Equal(1, agreement.WithTies.Value);
        Assert.True(double.IsNaN(agreement.Kappa.Value));
        Assert.True(double.IsNaN(agreement.LinearKappa) && double.IsNaN(agreement.QuadraticKappa));
        Assert.Equal(verdict == Verdict.Tie, agreement.WithoutTies is null);
        Assert.Throws<ArgumentException>(() => Agreement.Of([Verdict.Tie], []));
    }

    [Fact]
    public void A_curve_that_shows_no_peak_has_none()
    {
        double[] kl = [0, 1, 4, 9];
        var straight = OverOptimizationFit.Of(OverOptimization.BestOfN, kl, [0.01, 0.99, 2.02, 2.99]);
        Assert.Null(straight.PeakKlInterval);
        var rising = OverOptimizationFit.Of(OverOptimization.BestOfN, kl, [0, 1.1, 2.4, 3.9]); // d(1 + 0.1 d)
        Assert.Equal(-0.1, rising.Beta.Value, 1e-12);
        Assert.Null(rising.PeakKl);
        var peaked = OverOptimizationFit.Of(OverOptimization.BestOfN, kl, [0, 0.8, 1.2, 1.2]); // d(1 - 0.2 d)
        Assert.Equal(6.25, peaked.PeakKl!.Value, 1e-9);
        Assert.Equal(1.25, peaked.Reward(6.25), 1e-9);
        Assert.Throws<ArgumentException>(() => OverOptimizationFit.Of(OverOptimization.BestOfN, [0, 1, 1], [0, 1, 1]));
        Assert.Throws<ArgumentException>(() => OverOptimizationFit.Of(OverOptimization.BestOfN, [-1, 1, 2], [0, 1, 1]));
    }

    [Fact]
    public void What_a_policy_never_says_adds_nothing_to_its_KL()
    {
        Assert.Equal(Math.Log(2), Kl.Exact([0, double.NegativeInfinity], [0, 0]), 1e-12);
        Assert.Equal(double.PositiveInfinity, Kl.Exact([0, 0], [0, double.NegativeInfinity]));
    }

    [Fact]
    public void An_area_counts_ties_as_half()
    {
        Assert.Equal(0.875, Auc.Of([1, 2, 2, 3], [false, true, false, true]));
        Assert.Equal(1, Auc.Of([-1, double.PositiveInfinity], [false, true]));
        Assert.Throws<ArgumentException>(() => Auc.Of([1, 2], [true, true]));
        Assert.Throws<ArgumentException>(() => Auc.Of([1, double.NaN], [true, false]));
    }

    [Fact]
    public void Calibration_in_two_bins_and_of_margins_that_are_too_sure()
    {
        var two = Calibration.Of([0.5, -2, 3, -0.1], bins: 2);
        Assert.Equal([(0.1, 0.5), (2, 3)], two.Bins.Select(bin => (bin.LeastMargin, bin.LargestMargin)));
        double low = (Sigmoid(0.1) + Sigmoid(0.5)) / 2, high = (Sigmoid(2) + Sigmoid(3)) / 2;
        Numbers.AssertClose([low, high], [.. two.Bins.Select(bin => bin.Confidence)], 1e-12);
        Assert.Equal([0.5, 0.5], two.Bins.Select(bin => bin.Accuracy.Value));
        Assert.Equal((low + high - 1) / 2, two.ExpectedError, 1e-12);
        Assert.Equal(3, Calibration.Of([0, 1, 2], bins: 10).Bins.Count);
        Assert.Equal(0, Calibration.Of([0]).Accuracy.Value); // strictly above

        var random = new Random(4);
        double[] margins =
        [
            .. Enumerable.Range(0, 4000).Select(_ => 6 * random.NextDouble()).Select(margin => random.NextDouble() < Sigmoid(margin) ? margin : -margin),
        ];
        Assert.InRange(Calibration.Of(margins).ExpectedError, 0, 0.4 * Math.Sqrt(10.0 / 4000));
        Assert.InRange(Calibration.Of([.. margins.Select(margin => margin / 3)]).ExpectedError, 0.15, 0.3);

        static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
    }
}
