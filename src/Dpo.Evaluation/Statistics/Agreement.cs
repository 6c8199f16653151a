namespace Dpo.Evaluation.Statistics;

/// <summary>How far two judges agree on the same comparisons, two models, a model and people, or two people: the rows of the
/// paper's Table 2.</summary>
public sealed record Agreement
{
    /// <summary>The share of comparisons with the same verdict, of win, tie and loss, with Wilson's interval.</summary>
    public required Estimate WithTies { get; init; }

    /// <summary>The share among those that both judges decided, with Wilson's interval; null where there are none.</summary>
    public required Estimate? WithoutTies { get; init; }

    /// <summary>The share where a comparison that one of the two calls a tie counts as half agreed.</summary>
    public required double HalfForOneTie { get; init; }

    /// <summary>The share that would agree by chance, were the two independent: Σ over verdicts of the product of their
    /// shares.</summary>
    public required double ByChance { get; init; }

    /// <summary>Cohen's κ (1960), (agreement − by chance) / (1 − by chance): 1 is full agreement, 0 that of chance. Its standard
    /// error is √(p(1 − p)/n) / (1 − by chance), its interval normal; NaN where both judges give one and the same verdict
    /// throughout.</summary>
    /// <remarks>The error takes the shares of verdicts as known. Checked by simulation: with 200 comparisons and κ = 0.44 the
    /// interval covers as it says; of few comparisons, or near 1, take <see cref="Bootstrap"/>.</remarks>
    public required Estimate Kappa { get; init; }

    /// <summary>κ with linear weights: win and tie differ by half of what win and loss do.</summary>
    public required double LinearKappa { get; init; }

    /// <summary>κ with quadratic weights: by a quarter.</summary>
    public required double QuadraticKappa { get; init; }

    /// <summary>Compares two judges.</summary>
    /// <param name="first">The first judge's verdicts; one or more.</param>
    /// <param name="second">The second's on the same comparisons, in the same order, seen from the same side.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    /// <exception cref="ArgumentException">There is none, or not as many of both.</exception>
    public static Agreement Of(IReadOnlyList<Verdict> first, IReadOnlyList<Verdict> second, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Count == 0 || first.Count != second.Count)
            throw new ArgumentException(
                $"Judges are compared by verdicts on the same comparisons, one or more; there are {first.Count} and " +
                $"{second.Count}.",
                nameof(second));
        var count = first.Count;
        var counts = new int[3, 3];
        foreach (var (one, other) in first.Zip(second))
            counts[1 - (int)one, 1 - (int)other]++;
        int[] verdicts = [0, 1, 2];
        // Divided once, so that where all is alike the shares are exactly 1 and 0.
        double[] rows = [.. verdicts.Select(i => (double)verdicts.Sum(j => counts[i, j]) / count)];
        double[] columns = [.. verdicts.Select(j => (double)verdicts.Sum(i => counts[i, j]) / count)];

        double Agreed(Func<int, int, double> weight) => verdicts.Sum(i => verdicts.Sum(j => weight(i, j) * counts[i, j])) / count;
        double Chance(Func<int, int, double> weight) => verdicts.Sum(i => verdicts.Sum(j => weight(i, j) * rows[i] * columns[j]));
        double KappaOf(Func<int, int, double> weight) => (Agreed(weight) - Chance(weight)) / (1 - Chance(weight));

        var same = first.Zip(second).Count(pair => pair.First == pair.Second);
        var decided = first.Zip(second).Where(pair => pair.First != Verdict.Tie && pair.Second != Verdict.Tie).ToArray();
        var (agreed, chance) = ((double)same / count, Chance(Same));
        var (kappa, error) = (KappaOf(Same), Math.Sqrt(agreed * (1 - agreed) / count) / (1 - chance));
        return new Agreement
        {
            WithTies = Rate(same, count, level),
            WithoutTies = decided.Length == 0 ? null
                : Rate(decided.Count(pair => pair.First == pair.Second), decided.Length, level),
            HalfForOneTie = Agreed((i, j) => i == j ? 1 : i == 1 || j == 1 ? 0.5 : 0),
            ByChance = chance,
            Kappa = new Estimate
            {
                Value = kappa,
                StandardError = error,
                Interval = Interval.Normal(kappa, error, level),
                Count = count,
            },
            LinearKappa = KappaOf((i, j) => 1 - (Math.Abs(i - j) / 2.0)),
            QuadraticKappa = KappaOf((i, j) => 1 - ((i - j) * (i - j) / 4.0)),
        };

        static double Same(int i, int j) => i == j ? 1 : 0;
    }

    private static Estimate Rate(int agreed, int count, double level) => new WinRate(agreed, 0, count - agreed).TiesAsHalf(level);
}
