using MathNet.Numerics.Distributions;

namespace Dpo.Evaluation.Statistics;

/// <summary>How often one side of comparisons won, tied and lost.</summary>
/// <param name="Wins">Comparisons that it won.</param>
/// <param name="Ties">Those without a winner.</param>
/// <param name="Losses">Those that the other won.</param>
public sealed record WinRate(int Wins, int Ties, int Losses)
{
    /// <summary>Counts verdicts.</summary>
    /// <param name="verdicts">The verdicts, seen from the side whose rate it is.</param>
    public static WinRate Of(IEnumerable<Verdict> verdicts)
    {
        ArgumentNullException.ThrowIfNull(verdicts);
        var counts = verdicts.CountBy(verdict => verdict).ToDictionary();
        return new WinRate(
            counts.GetValueOrDefault(Verdict.Win), counts.GetValueOrDefault(Verdict.Tie), counts.GetValueOrDefault(Verdict.Loss));
    }

    /// <summary>Comparisons of all kinds.</summary>
    public int Count => Wins + Ties + Losses;

    /// <summary>Those that have a winner.</summary>
    public int Decided => Wins + Losses;

    /// <summary>(wins + ties / 2) / comparisons, from 0 to 1, with Wilson's interval.</summary>
    /// <remarks>The interval takes every comparison for a whole win or loss. With ties it is wider than need be (with a third of
    /// ties 95 % is rather 98 %); <see cref="Resampled"/> is not.</remarks>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <exception cref="InvalidOperationException">There is no comparison.</exception>
    public Estimate TiesAsHalf(double level = 0.95) => Rated(Wins + (0.5 * Ties), Ties, Count, level);

    /// <summary>wins / (wins + losses), from 0 to 1, with Wilson's interval; ties count as if they had never been made.</summary>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <exception cref="InvalidOperationException">There is no comparison with a winner.</exception>
    public Estimate WithoutTies(double level = 0.95) => Rated(Wins, ties: 0, Decided, level);

    /// <summary>The rate of <see cref="TiesAsHalf"/> with the interval of a percentile bootstrap over the comparisons, which ties
    /// do not widen.</summary>
    /// <param name="resamples">How many are drawn; 2 or more.</param>
    /// <param name="seed">Another seed draws others.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <exception cref="InvalidOperationException">There is no comparison.</exception>
    public Estimate Resampled(int resamples = 1000, int seed = 0, double level = 0.95)
    {
        RequireSome(Count);
        double[] scores =
        [
            .. Enumerable.Repeat(1.0, Wins), .. Enumerable.Repeat(0.5, Ties), .. Enumerable.Repeat(0.0, Losses),
        ];
        return Bootstrap.OfMean(scores, resamples, seed, level);
    }

    /// <summary>The probability, were both sides equal, that wins and losses differ as much as they do or more: the exact sign
    /// test of both sides; ties do not count. 1 where there is no comparison with a winner.</summary>
    public double SignTest() => Math.Min(1, 2 * Binomial.CDF(0.5, Decided, Math.Min(Wins, Losses)));

    private static Estimate Rated(double points, int ties, int count, double level)
    {
        RequireSome(count);
        var rate = points / count;
        // Of points that are 1, ½ or 0 the squares add up to the points less a quarter for every tie.
        var squares = points - (0.25 * ties) - (count * rate * rate);
        return new Estimate
        {
            Value = rate,
            StandardError = count == 1 ? double.NaN : Math.Sqrt(Math.Max(0, squares) / (count - 1) / count),
            Interval = Interval.Wilson(rate, count, level),
            Count = count,
        };
    }

    private static void RequireSome(int count)
    {
        if (count == 0)
            throw new InvalidOperationException("There is no comparison that a rate could be taken of.");
    }
}
