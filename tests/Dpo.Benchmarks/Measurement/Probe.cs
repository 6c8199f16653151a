using System.Diagnostics;

namespace Dpo.Benchmarks;

/// <summary>Measures steps in this process, above the memory that is in use when it is made.</summary>
internal sealed class Probe
{
    public Probe()
    {
        GC.Collect();
        // Forgets the peak of what came before, such as making the weights.
        if (OperatingSystem.IsLinux())
            File.WriteAllText("/proc/self/clear_refs", "5");
        using var process = Process.GetCurrentProcess();
        Standing = process.WorkingSet64;
    }

    /// <summary>Bytes in use when the probe was made.</summary>
    public long Standing { get; }

    /// <summary>Runs step 0 once unmeasured, then every step.</summary>
    /// <param name="steps">How many there are.</param>
    /// <param name="step">Runs the step of an index, and answers with what rows are compared by.</param>
    /// <param name="before">Runs before every step, unmeasured.</param>
    public Measurement Run(int steps, Func<int, double> step, Action before)
    {
        var (seconds, userSeconds, values) = (new double[steps], new double[steps], new double[steps]);
        for (var index = -1; index < steps; index++)
        {
            before();
            var userBefore = UserSeconds();
            var clock = Stopwatch.StartNew();
            var value = step(Math.Max(0, index));
            clock.Stop();
            if (index >= 0)
                (seconds[index], userSeconds[index], values[index]) = (clock.Elapsed.TotalSeconds, UserSeconds() - userBefore, value);
        }
        using var process = Process.GetCurrentProcess();
        return new Measurement(seconds, userSeconds, process.PeakWorkingSet64 - Standing, values);
    }

    private static double UserSeconds()
    {
        using var process = Process.GetCurrentProcess();
        return process.UserProcessorTime.TotalSeconds;
    }
}
