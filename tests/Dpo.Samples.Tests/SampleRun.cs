using System.Diagnostics;

namespace Dpo.Samples.Tests;

/// <summary>Runs a sample as a person would: a process of its own, with its output redirected. Win rates, which take a while, are
/// measured only where a test says how many prompts.</summary>
internal static class SampleRun
{
    private const string WinRatePrompts = "--win-rate-prompts";

    public static (int ExitCode, string Output, string Error) Run(string sample, params string[] args)
    {
        if (sample != "Imdb" && !args.Contains(WinRatePrompts) && args is not ["report" or "--help", ..])
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
