using NormalDistribution = MathNet.Numerics.Distributions.Normal;
using TDistribution = MathNet.Numerics.Distributions.StudentT;

namespace Dpo.Evaluation.Statistics;

/// <summary>A confidence interval: of many made in the same way, a share of <paramref name="Level"/> hold the true
/// value.</summary>
/// <param name="Low">Its lower end; −∞ where there is none.</param>
/// <param name="High">Its upper end; +∞ where there is none.</param>
/// <param name="Level">The share, such as 0.95.</param>
public readonly record struct Interval(double Low, double High, double Level)
{
    /// <summary>Whether a value lies within it, its ends included.</summary>
    public bool Contains(double value) => Low <= value && value <= High;

    /// <summary>An estimate ± z standard errors: for estimates that are normal about the truth, as those of many observations
    /// are.</summary>
    /// <param name="value">The estimate.</param>
    /// <param name="standardError">Its standard error.</param>
    /// <param name="level">Above 0 and below 1.</param>
    public static Interval Normal(double value, double standardError, double level = 0.95)
    {
        var reach = NormalQuantile(level) * standardError;
        return new Interval(value - reach, value + reach, level);
    }

    /// <summary>An estimate ± t standard errors (Student 1908): for means and coefficients whose standard error was estimated of
    /// few observations.</summary>
    /// <param name="value">The estimate.</param>
    /// <param name="standardError">Its standard error.</param>
    /// <param name="degreesOfFreedom">Observations less what was estimated of them; above 0.</param>
    /// <param name="level">Above 0 and below 1.</param>
    public static Interval StudentT(double value, double standardError, double degreesOfFreedom, double level = 0.95)
    {
        var reach = TQuantile(degreesOfFreedom, level) * standardError;
        return new Interval(value - reach, value + reach, level);
    }

    /// <summary>Wilson's interval of a rate (1927): the rates that a test would not reject. It lies within 0 and 1, also where
    /// nothing or everything was a success.</summary>
    /// <remarks>Checked by its exact coverage: a nominal 95 % covers 93 to 97 % at rates from 0.1 to 0.9 and 100 to 500
    /// observations. Where some observations are halves, such as ties, it is too wide: a half varies less than a whole.</remarks>
    /// <param name="rate">The rate that was observed, from 0 to 1.</param>
    /// <param name="count">Of how many observations; 1 or more.</param>
    /// <param name="level">Above 0 and below 1.</param>
    public static Interval Wilson(double rate, int count, double level = 0.95)
    {
        if (!(rate is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(rate), rate, "A rate is a number from 0 to 1.");
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        var z = NormalQuantile(level);
        var shrink = 1 + (z * z / count);
        var middle = (rate + (z * z / (2 * count))) / shrink;
        var reach = z / shrink * Math.Sqrt((rate * (1 - rate) / count) + (z * z / (4.0 * count * count)));
        return new Interval(Math.Max(0, middle - reach), Math.Min(1, middle + reach), level);
    }

    /// <summary>The interval between two quantiles of values, the same share of them on either side: that of the percentile
    /// bootstrap (Efron 1979). A quantile q of R values lies at place q(R − 1) of the sorted ones, and between two is taken
    /// linearly.</summary>
    /// <param name="values">A statistic of every resample; one or more.</param>
    /// <param name="level">Above 0 and below 1.</param>
    public static Interval Percentile(IReadOnlyList<double> values, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfZero(values.Count);
        Require(level);
        double[] sorted = [.. values.Order()];
        return new Interval(Quantile((1 - level) / 2), Quantile((1 + level) / 2), level);

        double Quantile(double share)
        {
            var place = share * (sorted.Length - 1);
            var below = (int)place;
            return below + 1 == sorted.Length
                ? sorted[below]
                : sorted[below] + ((place - below) * (sorted[below + 1] - sorted[below]));
        }
    }

    /// <summary>How many standard errors an interval of a normal estimate reaches to either side: 1.96 for 95 %.</summary>
    internal static double NormalQuantile(double level) => NormalDistribution.InvCDF(0, 1, (1 + Require(level)) / 2);

    /// <summary>The same where the standard error was estimated.</summary>
    internal static double TQuantile(double degreesOfFreedom, double level) =>
        TDistribution.InvCDF(0, 1, degreesOfFreedom, (1 + Require(level)) / 2);

    private static double Require(double level) => level is > 0 and < 1 ? level : throw new ArgumentOutOfRangeException(
        nameof(level), level, "The level of an interval is above 0 and below 1, such as 0.95.");
}
