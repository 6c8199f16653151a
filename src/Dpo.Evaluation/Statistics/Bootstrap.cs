using Dpo.Native;

namespace Dpo.Evaluation.Statistics;

/// <summary>The percentile bootstrap (Efron 1979): a statistic is computed anew of many samples that are drawn, with replacement,
/// from the observations; the spread of the results is that of the statistic.</summary>
/// <remarks>
/// <para>Draws are a function of the seed, the resample and the place in it: the same in every version of .NET, and the first
/// hundred resamples are those of a thousand.</para>
/// <para>Checked by simulation: of the mean of 100 verdicts with ties a nominal 95 % covers 93 to 97 %. Of few observations
/// it is too short (of 10, by a tenth): there <see cref="Estimate.OfMean"/> is the better one.</para>
/// </remarks>
public static class Bootstrap
{
    /// <summary>The mean of independent observations.</summary>
    /// <param name="values">One or more.</param>
    /// <param name="resamples">How many are drawn; 2 or more.</param>
    /// <param name="seed">Another seed draws others.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    public static Estimate OfMean(IReadOnlyList<double> values, int resamples = 1000, int seed = 0, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(values);
        return Of(values.Count, MeanOf, resamples, seed, level);

        double MeanOf(IReadOnlyList<int> drawn)
        {
            var sum = 0.0;
            for (var place = 0; place < drawn.Count; place++)
                sum += values[drawn[place]];
            return sum / drawn.Count;
        }
    }

    /// <summary>Any statistic of independent observations.</summary>
    /// <param name="count">How many observations there are; 1 or more.</param>
    /// <param name="statistic">The statistic of those that it is given, by their indices, each as often as it was drawn.</param>
    /// <param name="resamples">How many are drawn; 2 or more.</param>
    /// <param name="seed">Another seed draws others.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <returns>The statistic of all observations; the deviation of the resamples' as its standard error.</returns>
    public static Estimate Of(
        int count, Func<IReadOnlyList<int>, double> statistic, int resamples = 1000, int seed = 0, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(statistic);
        return Of(
            count, statistic([.. Enumerable.Range(0, count)]),
            [.. Draws(count, resamples, seed).Select(statistic)], level);
    }

    /// <summary>An estimate of what was computed of every resample already.</summary>
    /// <param name="count">How many observations there are; 1 or more.</param>
    /// <param name="value">The statistic of all of them.</param>
    /// <param name="resampled">That of every resample; 2 or more.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    public static Estimate Of(int count, double value, IReadOnlyList<double> resampled, double level = 0.95)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentNullException.ThrowIfNull(resampled);
        ArgumentOutOfRangeException.ThrowIfLessThan(resampled.Count, 2);
        return new Estimate
        {
            Value = value,
            StandardError = Estimate.Deviation([.. resampled], resampled.Average()),
            Interval = Interval.Percentile(resampled, level),
            Count = count,
        };
    }

    /// <summary>The indices of every resample.</summary>
    /// <param name="count">How many observations there are, and so how many are drawn each time; 1 or more.</param>
    /// <param name="resamples">How many resamples; 2 or more.</param>
    /// <param name="seed">Another seed draws others.</param>
    public static IEnumerable<IReadOnlyList<int>> Draws(int count, int resamples, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 2);
        return Enumerable.Range(0, resamples).Select(IReadOnlyList<int> (resample) =>
        {
            var first = CounterRandom.Mix(CounterRandom.Mix((ulong)seed) + (ulong)resample);
            var drawn = new int[count];
            for (var place = 0; place < count; place++)
                drawn[place] = CounterRandom.Below(count, first + (ulong)place);
            return drawn;
        });
    }
}
