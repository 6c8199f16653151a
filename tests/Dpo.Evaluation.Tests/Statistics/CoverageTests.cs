using Dpo.Evaluation.Statistics;
using MathNet.Numerics.Distributions;

namespace Dpo.Evaluation.Tests.Statistics;

/// <summary>Whether intervals of a nominal 95 % hold the truth in 93 to 97 % of simulated studies, and what is said of those that
/// do not.</summary>
public class CoverageTests
{
    /// <summary>Exact, by the probabilities of all counts of wins: no chance is in it.</summary>
    [Fact]
    public void Wilson()
    {
        foreach (var count in (int[])[100, 150, 200, 300, 400, 500])
        {
            foreach (var truth in (double[])[0.1, 0.3, 0.5, 0.7, 0.8, 0.9])
            {
                var coverage = Enumerable.Range(0, count + 1)
                    .Where(wins => new WinRate(wins, 0, count - wins).WithoutTies().Interval.Contains(truth))
                    .Sum(wins => Binomial.PMF(truth, count, wins));
                Assert.True(coverage is >= 0.93 and <= 0.97, $"{coverage} at a rate of {truth} in {count}");
            }
        }
    }

    [Fact]
    public void With_ties_Wilson_is_too_wide_and_the_bootstrap_is_not()
    {
        var wilson = 0;
        Covers(1000, random =>
        {
            var verdicts = Enumerable.Range(0, 100).Select(_ => random.NextDouble() switch { < 0.4 => Verdict.Win, < 0.7 => Verdict.Tie, _ => Verdict.Loss });
            var rate = WinRate.Of(verdicts);
            wilson += rate.TiesAsHalf().Interval.Contains(0.55) ? 1 : 0;
            return rate.Resampled(resamples: 400, seed: random.Next()).Interval.Contains(0.55);
        });
        Assert.InRange(wilson, 971, 995);
    }

    [Theory]
    [InlineData(100, 0.5)]
    [InlineData(200, 0.7)]
    [InlineData(200, 0.9)]
    public void The_bootstrap(int count, double truth) => Covers(1000, random =>
        WinRate.Of(Enumerable.Range(0, count).Select(_ => random.NextDouble() < truth ? Verdict.Win : Verdict.Loss))
            .Resampled(resamples: 400, seed: random.Next()).Interval.Contains(truth));

    [Fact]
    public void Of_few_observations_the_bootstrap_is_too_short_and_the_t_interval_is_not()
    {
        var bootstrap = 0;
        Covers(2000, random =>
        {
            double[] values = [.. Enumerable.Range(0, 10).Select(_ => Gaussian(random))];
            bootstrap += Bootstrap.OfMean(values, resamples: 200, seed: random.Next()).Interval.Contains(0) ? 1 : 0;
            return Estimate.OfMean(values).Interval.Contains(0);
        });
        Assert.InRange(bootstrap, 1700, 1859);
    }

    [Theory]
    [InlineData(3, false)]
    [InlineData(10, false)]
    [InlineData(100, true)]
    public void The_t_interval(int count, bool isSkewed) => Covers(4000, random =>
        Estimate.OfMean([.. Enumerable.Range(0, count).Select(_ => isSkewed ? -Math.Log(1 - random.NextDouble()) - 1 : Gaussian(random))])
            .Interval.Contains(0));

    /// <summary>What two runs share with a seed, ten times as large as their difference, is not in the interval.</summary>
    [Fact]
    public void The_paired_difference()
    {
        var widest = 0.0;
        Covers(4000, random =>
        {
            double[] shared = [.. Enumerable.Range(0, 5).Select(_ => 10 * Gaussian(random))];
            var difference = Estimate.OfPairedDifference(
                [.. shared.Select(value => value + Gaussian(random))], [.. shared.Select(value => value + 1 + Gaussian(random))]);
            widest = Math.Max(widest, difference.Interval.High - difference.Interval.Low);
            return difference.Interval.Contains(1);
        });
        Assert.InRange(widest, 3, 10);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(300)]
    public void Bradley_Terry(int games)
    {
        var ratings = 0;
        Covers(1000, random =>
        {
            var fit = BradleyTerry.Fit(Games(random, games, ties: 0));
            ratings += fit.Rating("a").Interval.Contains(1000 + (400 / Math.Log(10) * strengths[0])) ? 1 : 0;
            return fit.Difference("a", "d").Interval.Contains(400 / Math.Log(10) * (strengths[0] - strengths[3]));
        });
        Assert.InRange(ratings, 930, 970);
    }

    [Fact]
    public void Bradley_Terry_with_ties_by_the_bootstrap()
    {
        var normal = 0;
        Covers(200, random =>
        {
            var (fit, truth) = (BradleyTerry.Fit(Games(random, 200, ties: 0.4)), 1000 + (400 / Math.Log(10) * tiedStrength));
            normal += fit.Rating("a").Interval.Contains(truth) ? 1 : 0;
            return fit.Resampled(seed: random.Next())["a"].Interval.Contains(truth);
        });
        Assert.InRange(normal, 194, 200);
    }

    [Theory]
    [InlineData(OverOptimization.BestOfN, 1, 0.15)]
    [InlineData(OverOptimization.ReinforcementLearning, 0.9, 0.25)]
    public void Curves_of_over_optimisation_and_their_peaks(OverOptimization kind, double alpha, double beta)
    {
        double[] kl = [.. Enumerable.Range(1, 15).Select(index => 1.0 * index)];
        double peak = kind == OverOptimization.BestOfN ? alpha / (2 * beta) : Math.Exp((alpha / beta) - 1);
        var (alphas, peaks) = (0, 0);
        Covers(4000, random =>
        {
            var fit = OverOptimizationFit.Of(kind, kl, [.. kl.Select(value =>
                (Math.Sqrt(value) * (alpha - (beta * (kind == OverOptimization.BestOfN ? Math.Sqrt(value) : 0.5 * Math.Log(value))))) + (0.05 * Gaussian(random)))]);
            alphas += fit.Alpha.Interval.Contains(alpha) ? 1 : 0;
            peaks += fit.PeakKlInterval?.Contains(peak * peak) == true ? 1 : 0;
            return fit.Beta.Interval.Contains(beta);
        });
        Assert.InRange(alphas, 3720, 3880);
        Assert.InRange(peaks, 3720, 3880);
    }

    [Fact]
    public void Agreement_and_kappa()
    {
        var kappas = 0;
        // Both see the truth in two of three comparisons, and guess else: they agree in 4/9 + 5/9 · 1/3, by chance in 1/3.
        Covers(2000, random =>
        {
            Verdict[] truth = [.. Enumerable.Range(0, 200).Select(_ => Any(random))];
            var agreement = Agreement.Of([.. truth.Select(Seen)], [.. truth.Select(Seen)]);
            kappas += agreement.Kappa.Interval.Contains(4.0 / 9) ? 1 : 0;
            return agreement.WithTies.Interval.Contains((4.0 / 9) + (5.0 / 27));

            Verdict Seen(Verdict verdict) => random.Next(3) < 2 ? verdict : Any(random);
        });
        Assert.InRange(kappas, 1860, 1940);

        static Verdict Any(Random random) => (Verdict)(random.Next(3) - 1);
    }

    /// <summary>Where length matters, where only the model does, so that the penalty bites, and where difficulties differ much. AlpacaEval's
    /// standard error about its rate misses what the interval holds.</summary>
    [Theory]
    [InlineData(200, true, -1.5, 0.5, 0.4)]
    [InlineData(100, false, 0, 0, 0.5)]
    [InlineData(200, false, -1.5, 1.5, 0.4)]
    public void The_length_controlled_rate(int rows, bool isGraded, double length, double difficulty, double model)
    {
        // The mean over difficulties, by a fine grid of the normal distribution.
        var truth = Enumerable.Range(0, 1000).Average(step => Sigmoid((difficulty * Normal.InvCDF(0, 1, (step + 0.5) / 1000)) + model));
        var theirs = 0;
        Covers(400, random =>
        {
            var fit = LengthControlledWinRate.Of(
            [
                .. Enumerable.Range(0, rows).Select(_ =>
                {
                    // σ of the difference is 500; the model writes longer.
                    double difference = -300 + (500 * Gaussian(random)), hard = Gaussian(random);
                    var probability = Sigmoid((length * Math.Tanh(difference / 500)) + (difficulty * hard) + model);
                    var preferred = random.NextDouble() < probability;
                    return new LengthControlledRow
                    {
                        Preference = isGraded ? (preferred ? 0.8 : 0) + (0.2 * probability) : preferred ? 1 : 0,
                        BaselineLength = 5000,
                        Length = 5000 - (int)difference,
                        Difficulty = hard,
                    };
                }),
            ]);
            theirs += Interval.Normal(fit.Rate.Value, fit.Plain.StandardError).Contains(truth) ? 1 : 0;
            return fit.Rate.Interval.Contains(truth);
        });
        Assert.InRange(theirs, 0, 371); // below 93 %
    }

    private static readonly double[] strengths = [0.6, 0.2, -0.2, -0.6];

    /// <summary>With ties the truth is what the fit tends to: that of games of expected scores.</summary>
    private static readonly double tiedStrength = BradleyTerry.Fit([.. Pairs().Select(pair =>
        new Game(Name(pair.I), Name(pair.J), (0.5 * 0.4) + (0.6 * Sigmoid(strengths[pair.I] - strengths[pair.J]))))]).Strength("a");

    private static Game[] Games(Random random, int count, double ties)
    {
        (int I, int J)[] pairs = [.. Pairs()];
        return
        [
            .. Enumerable.Range(0, count).Select(index =>
            {
                var (i, j) = pairs[index % pairs.Length];
                var score = random.NextDouble() < ties ? 0.5 : random.NextDouble() < Sigmoid(strengths[i] - strengths[j]) ? 1 : 0;
                return new Game(Name(i), Name(j), score);
            }),
        ];
    }

    private static IEnumerable<(int I, int J)> Pairs() =>
        from i in Enumerable.Range(0, 4) from j in Enumerable.Range(0, 4) where i < j select (i, j);

    private static string Name(int model) => "abcd"[model].ToString();

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Gaussian(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    /// <summary>Asserts that 93 to 97 in a hundred studies cover.</summary>
    private static void Covers(int studies, Func<Random, bool> covers)
    {
        var random = new Random(16);
        var covered = Enumerable.Range(0, studies).Count(_ => covers(random));
        Assert.True(covered >= 0.93 * studies && covered <= 0.97 * studies, $"{covered} of {studies} intervals cover");
    }
}
