namespace Dpo.Evaluation.Statistics;

/// <summary>A number that was measured, and how well it is known.</summary>
public sealed record Estimate
{
    /// <summary>The number.</summary>
    public required double Value { get; init; }

    /// <summary>How far the number would vary if it were measured anew, as a standard deviation; NaN where one observation says
    /// nothing of it.</summary>
    public required double StandardError { get; init; }

    /// <summary>Where the true value is; how it is made is said where the estimate comes from.</summary>
    public required Interval Interval { get; init; }

    /// <summary>Of how many observations.</summary>
    public required int Count { get; init; }

    /// <summary>The mean of independent observations, s / √n as its standard error (s² with n − 1), and a t interval.</summary>
    /// <remarks>Checked by simulation: of 3 observations and more of a normal distribution, and of 100 of an exponential one, it
    /// covers as it says. Observations that belong together, such as the tokens of one completion or the completions of one
    /// prompt, are not independent: average them first.</remarks>
    /// <param name="values">Two or more finite numbers.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <exception cref="ArgumentException">There are fewer, or one is not finite.</exception>
    public static Estimate OfMean(IReadOnlyList<double> values, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count < 2)
            throw new ArgumentException(
                $"A standard error takes two observations or more, and there {(values.Count == 1 ? "is 1" : "are none")}.",
                nameof(values));
        if (values.Index().FirstOrDefault(value => !double.IsFinite(value.Item), (-1, 0)) is { Index: >= 0 } odd)
            throw new ArgumentException(
                $"Observation {odd.Index} is {odd.Item}; leave out what could not be measured.", nameof(values));
        var mean = values.Average();
        var error = Deviation(values, mean) / Math.Sqrt(values.Count);
        return new Estimate
        {
            Value = mean,
            StandardError = error,
            Interval = Interval.StudentT(mean, error, values.Count - 1, level),
            Count = values.Count,
        };
    }

    /// <summary>The mean difference of two runs that were measured on the same seeds, prompts or folds, second less first, with
    /// a t interval: what the two have in common does not blur it.</summary>
    /// <param name="first">A number for each seed; two or more.</param>
    /// <param name="second">The other run's, in the same order.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <exception cref="ArgumentException">There are fewer than two, not as many of both, or one is not finite.</exception>
    public static Estimate OfPairedDifference(IReadOnlyList<double> first, IReadOnlyList<double> second, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        return first.Count == second.Count
            ? OfMean([.. first.Zip(second, (one, other) => other - one)], level)
            : throw new ArgumentException(
                $"Pairs take as many numbers of the second run as of the first, which has {first.Count}, and there are " +
                $"{second.Count}; leave out seeds that only one of them has.",
                nameof(second));
    }

    /// <summary>The standard deviation about a mean that was estimated (n − 1).</summary>
    internal static double Deviation(IReadOnlyCollection<double> values, double mean) =>
        Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1));
}
