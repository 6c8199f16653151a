namespace Dpo.Evaluation.Statistics;

/// <summary>Pairs of similar margins, and how many of them are ordered as they were preferred.</summary>
public sealed record CalibrationBin
{
    /// <summary>The least |margin| of the bin.</summary>
    public required double LeastMargin { get; init; }

    /// <summary>The largest |margin| of the bin.</summary>
    public required double LargestMargin { get; init; }

    /// <summary>The mean of σ(|margin|): how many would be ordered right were the margins as sure as they say; from ½ to
    /// 1.</summary>
    public required double Confidence { get; init; }

    /// <summary>The share that is: margin above 0, strictly, with Wilson's interval.</summary>
    public required Estimate Accuracy { get; init; }
}

/// <summary>
/// Whether implicit rewards are as sure as they are right: by Bradley and Terry, whom DPO takes its loss from, a pair with a
/// margin of m = β(log-ratio of chosen − that of rejected) is ordered as preferred with the probability σ(m).
/// </summary>
public sealed record Calibration
{
    /// <summary>The bins, from the least |margin| to the largest, of as many pairs each as can be.</summary>
    public required IReadOnlyList<CalibrationBin> Bins { get; init; }

    /// <summary>The share of pairs with a margin above 0, with Wilson's interval.</summary>
    public required Estimate Accuracy { get; init; }

    /// <summary>The expected calibration error (Naeini et al. 2015): the mean over pairs of |accuracy − confidence| of their bin.
    /// By chance alone it is up to 0.4 √(B/n), of n pairs in B bins.</summary>
    public required double ExpectedError { get; init; }

    /// <summary>Bins margins.</summary>
    /// <param name="margins">Chosen reward less rejected, of each pair, such as <c>PairRewards.Margin</c>; one or more, none
    /// NaN.</param>
    /// <param name="bins">How many bins, from 1; no more than there are pairs are made.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    public static Calibration Of(IReadOnlyList<double> margins, int bins = 10, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(margins);
        ArgumentOutOfRangeException.ThrowIfLessThan(bins, 1);
        if (margins.Count == 0 || margins.Any(double.IsNaN))
            throw new ArgumentException("Calibration takes one margin or more, none NaN.", nameof(margins));
        double[] sorted = [.. margins.OrderBy(Math.Abs)];
        var count = Math.Min(bins, sorted.Length);
        int Begin(int bin) => (int)((long)bin * sorted.Length / count);
        CalibrationBin[] made =
            [.. Enumerable.Range(0, count).Select(bin => Bin(sorted[Begin(bin)..Begin(bin + 1)], level))];
        return new Calibration
        {
            Bins = made,
            Accuracy = AccuracyOf(sorted, level),
            ExpectedError = made.Sum(bin => Math.Abs(bin.Accuracy.Value - bin.Confidence) * bin.Accuracy.Count) / sorted.Length,
        };
    }

    private static CalibrationBin Bin(double[] margins, double level) => new()
    {
        LeastMargin = Math.Abs(margins[0]),
        LargestMargin = Math.Abs(margins[^1]),
        Confidence = margins.Average(margin => PenalizedLogistic.Sigmoid(Math.Abs(margin))),
        Accuracy = AccuracyOf(margins, level),
    };

    private static Estimate AccuracyOf(double[] margins, double level)
    {
        var right = margins.Count(margin => margin > 0);
        return new WinRate(right, 0, margins.Length - right).TiesAsHalf(level);
    }
}
