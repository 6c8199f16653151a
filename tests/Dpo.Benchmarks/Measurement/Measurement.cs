namespace Dpo.Benchmarks;

/// <summary>What a process measured; one entry of each list for every step it ran.</summary>
/// <param name="Seconds">Wall time of every step.</param>
/// <param name="UserSeconds">CPU time of every step in user mode, all threads.</param>
/// <param name="PeakBytes">The most memory in use at any time, above what stood before the first step.</param>
/// <param name="Values">What every step computed, to compare rows by.</param>
internal sealed record Measurement(double[] Seconds, double[] UserSeconds, long PeakBytes, double[] Values)
{
    /// <summary>Seconds of all steps.</summary>
    public double TotalSeconds => Seconds.Sum();

    /// <summary>The smaller figures of two runs of the same steps: what disturbs a run only ever adds to it.</summary>
    public Measurement Best(Measurement other) => new(
        Smaller(Seconds, other.Seconds), Smaller(UserSeconds, other.UserSeconds), Math.Min(PeakBytes, other.PeakBytes), Values);

    private static double[] Smaller(double[] one, double[] other) => [.. one.Zip(other, Math.Min)];
}
