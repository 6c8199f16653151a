namespace Dpo.Evaluation.Statistics;

/// <summary>The area under the curve of true against false positives: how well a score tells two kinds apart.</summary>
public static class Auc
{
    /// <summary>The probability that the score of a positive, drawn at random, is above that of a negative, ties as half (Mann
    /// and Whitney 1947): 1 where all are above, ½ where the score says nothing.</summary>
    /// <param name="scores">The scores; none is NaN.</param>
    /// <param name="positives">Which of them are of positives; one at least, and one at least is not.</param>
    public static double Of(IReadOnlyList<double> scores, IReadOnlyList<bool> positives)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(positives);
        ArgumentOutOfRangeException.ThrowIfNotEqual(positives.Count, scores.Count);
        var positive = positives.Count(isPositive => isPositive);
        var negative = positives.Count - positive;
        if (positive == 0 || negative == 0 || scores.Any(double.IsNaN))
            throw new ArgumentException(
                $"An area under the curve takes scores of both kinds, none NaN; there are {positive} positives and {negative} " +
                "negatives.",
                nameof(positives));
        var (below, won) = (0L, 0.0);
        foreach (var group in scores.Zip(positives).GroupBy(pair => pair.First).OrderBy(group => group.Key))
        {
            var (all, ofPositives) = (group.Count(), group.Count(pair => pair.Second));
            won += ofPositives * (below + (0.5 * (all - ofPositives)));
            below += all - ofPositives;
        }
        return won / positive / negative;
    }
}
