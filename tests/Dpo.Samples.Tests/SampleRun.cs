using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Dpo.Samples.Tests;

/// <summary>Runs a sample as a person would: a process of its own, with its output redirected. Win rates, which take a while, are
/// measured only where a test says how many prompts.</summary>
internal static class SampleRun
{
    private const string WinRatePrompts = "--win-rate-prompts";

    /// <summary>The programs that tests start have one thread each, as the tests have: their models gain nothing by more, and runs that
    /// are compared have the same number.</summary>
    [ModuleInitializer]
    internal static void SetThreads() => Environment.SetEnvironmentVariable("OMP_NUM_THREADS", "1");

    public static (int ExitCode, string Output, string Error) Run(string sample, params string[] args)
    {
        if (sample is "HelpfulHarmless" or "TlDr" && !args.Contains(WinRatePrompts) && args is not ["report" or "score" or "--help", ..])
            args = [.. args, WinRatePrompts, "0"];
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, $"{sample}.dll"), .. args])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    /// <summary>Runs a sample that must succeed.</summary>
    public static string Succeed(string sample, params string[] args)
    {
        var (exitCode, output, error) = Run(sample, args);
        Assert.True(exitCode == 0 && error.Length == 0, $"{sample} ended with {exitCode}: {error}");
        return output;
    }
}
