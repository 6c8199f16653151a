namespace Dpo.Evaluation.Statistics;

/// <summary>A curve of over-optimisation through points of KL and true reward: ordinary least squares in α and β, where the
/// reward at KL 0 is 0, so that rewards are given as gains over the reference's.</summary>
/// <remarks>Intervals are Student's with n − 2 degrees of freedom; that of the peak is Fieller's (1954), of the ratio of the two.
/// Both cover as they say where points vary independently about the curve (checked by simulation with 15 points). Checkpoints of
/// one run vary together: take a point a run, or read the intervals as too short.</remarks>
public sealed record OverOptimizationFit
{
    /// <summary>Which curve.</summary>
    public required OverOptimization Kind { get; init; }

    /// <summary>How steeply the reward rises at first.</summary>
    public required Estimate Alpha { get; init; }

    /// <summary>How much it is bent; above 0 there is a peak.</summary>
    public required Estimate Beta { get; init; }

    /// <summary>Σ (reward − curve)².</summary>
    public required double ResidualSumOfSquares { get; init; }

    /// <summary>1 − that sum / Σ (reward − mean reward)².</summary>
    public required double RSquared { get; init; }

    /// <summary>The KL at which the curve is highest: d = α/(2β), or exp(α/β − 1); null where it rises throughout or never
    /// does.</summary>
    public double? PeakKl => PeakOf(Alpha.Value / Beta.Value) is { } peak && Beta.Value > 0 ? peak * peak : null;

    /// <summary>Where that KL is; null where β cannot be told from 0 at the level of the intervals, so that there need not be a
    /// peak.</summary>
    public required Interval? PeakKlInterval { get; init; }

    /// <summary>The curve's reward at a KL.</summary>
    /// <param name="kl">0 or more.</param>
    public double Reward(double kl)
    {
        var (rise, bend) = Terms(Kind, kl);
        return (Alpha.Value * rise) + (Beta.Value * bend);
    }

    /// <summary>Fits a curve.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="kl">The KL of each point, 0 or more; three points or more, two of them at KLs above 0 that differ.</param>
    /// <param name="reward">The true reward of each, less the reference's.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    /// <exception cref="ArgumentException">The points do not tell α and β apart.</exception>
    public static OverOptimizationFit Of(
        OverOptimization kind, IReadOnlyList<double> kl, IReadOnlyList<double> reward, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(kl);
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentOutOfRangeException.ThrowIfNotEqual(reward.Count, kl.Count);
        if (kl.Any(value => !(value >= 0 && double.IsFinite(value))) || kl.Count < 3
            || kl.Where(value => value > 0).Distinct().Count() < 2)
            throw new ArgumentException(
                "A curve of over-optimisation takes three points or more of finite KLs that are at least 0, two of them above " +
                "0 and different.",
                nameof(kl));
        (double Rise, double Bend)[] terms = [.. kl.Select(value => Terms(kind, value))];
        double aa = terms.Sum(term => term.Rise * term.Rise), bb = terms.Sum(term => term.Bend * term.Bend);
        double ab = terms.Sum(term => term.Rise * term.Bend), determinant = (aa * bb) - (ab * ab);
        double ay = terms.Zip(reward, (term, y) => term.Rise * y).Sum(), by = terms.Zip(reward, (term, y) => term.Bend * y).Sum();
        double alpha = ((bb * ay) - (ab * by)) / determinant, beta = ((aa * by) - (ab * ay)) / determinant;

        var residuals = terms.Zip(reward, (term, y) => y - (alpha * term.Rise) - (beta * term.Bend)).Sum(left => left * left);
        var (freedom, mean) = (kl.Count - 2, reward.Average());
        var variance = residuals / freedom;
        Estimate Coefficient(double value, double spread) => new()
        {
            Value = value,
            StandardError = Math.Sqrt(variance * spread),
            Interval = Interval.StudentT(value, Math.Sqrt(variance * spread), freedom, level),
            Count = kl.Count,
        };
        var fit = new OverOptimizationFit
        {
            Kind = kind,
            Alpha = Coefficient(alpha, bb / determinant),
            Beta = Coefficient(beta, aa / determinant),
            ResidualSumOfSquares = residuals,
            RSquared = 1 - (residuals / reward.Sum(y => (y - mean) * (y - mean))),
            PeakKlInterval = null,
        };
        if (fit.Beta.Interval.Low <= 0)
            return fit;

        // Fieller: the ratios r at which α − rβ is not told from 0, between the two roots of a r² + 2 b r + c = 0.
        var t = Interval.TQuantile(freedom, level);
        var scale = t * t * variance / determinant;
        double a = (beta * beta) - (scale * aa), b = -(alpha * beta) - (scale * ab), c = (alpha * alpha) - (scale * bb);
        var root = Math.Sqrt((b * b) - (a * c));
        double low = fit.PeakOf((-b - root) / a) ?? 0, high = fit.PeakOf((-b + root) / a) ?? 0;
        return fit with { PeakKlInterval = new Interval(low * low, high * high, level) };
    }

    /// <summary>d at the peak, where α is so many times β.</summary>
    private double? PeakOf(double ratio) => Kind == OverOptimization.ReinforcementLearning ? Math.Exp(ratio - 1)
        : ratio > 0 ? ratio / 2 : null;

    /// <summary>What α and β are multiplied by.</summary>
    private static (double Rise, double Bend) Terms(OverOptimization kind, double kl)
    {
        var distance = Math.Sqrt(kl);
        return kind == OverOptimization.BestOfN ? (distance, -kl) : (distance, kl == 0 ? 0 : -distance * Math.Log(distance));
    }
}
