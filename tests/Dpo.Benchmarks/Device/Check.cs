namespace Dpo.Benchmarks;

/// <summary>One thing that must hold on a device.</summary>
/// <param name="Name">What was compared.</param>
/// <param name="Deviation">The largest |a − b| / max(1, |b|), or what the name says.</param>
/// <param name="Tolerance">The most it may be.</param>
/// <param name="Failure">Why there is no figure; null where there is one.</param>
internal sealed record Check(string Name, double Deviation, double Tolerance, string? Failure = null)
{
    /// <summary>Whether it holds.</summary>
    public bool Holds => Failure is null && Deviation <= Tolerance;

    /// <summary>Makes a check of what a measurement answers with; what it throws is its failure.</summary>
    public static Check Of(string name, double tolerance, Func<double> deviation)
    {
        try
        {
            var worst = deviation();
            return double.IsFinite(worst) ? new Check(name, worst, tolerance) : new Check(name, 0, tolerance, "not a finite number");
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return new Check(name, 0, tolerance, $"{e.GetType().Name}: {e.Message.Split('\n')[0]}");
        }
    }

    /// <summary>The largest |a − b| / max(1, |b|).</summary>
    public static double Worst(IReadOnlyList<double> actual, IReadOnlyList<double> expected)
    {
        if (actual.Count != expected.Count)
            throw new InvalidOperationException($"{actual.Count} numbers where {expected.Count} are expected");
        // Math.Max hands on what is no number.
        return actual.Zip(expected, (a, b) => Math.Abs(a - b) / Math.Max(1, Math.Abs(b))).Aggregate(0.0, Math.Max);
    }
}
