using System.Diagnostics;

namespace Dpo.Tests;

public class KillTests
{
    private const int Kills = 20;

    /// <summary>The most steps before a kill: two checkpoints'.</summary>
    private const int MostSteps = 6;

    /// <summary>How many milliseconds after that it is killed, at most: while it renames and deletes folders, or computes.</summary>
    private const int MostDelay = 5;

    /// <summary>SIGKILL, and SIGXFSZ in the middle of a file, leave a process nothing to do: no finally, no flush, no lock given
    /// back.</summary>
    [Fact]
    public void A_run_killed_at_any_moment_ends_as_the_run_that_was_not()
    {
        using var whole = new TemporaryFolder();
        using var killed = new TemporaryFolder();
        Assert.Equal((0, ""), Run(whole.Path));
        var random = new Random(4);
        var largest = (int)Directory.GetFiles(Checkpoints.Latest(whole.File("checkpoints"))!).Max(file => new FileInfo(file).Length);
        var (whileWriting, goingOn, resumed) = (0, 0, new HashSet<string?>());
        for (var kill = 0; kill < Kills; kill++)
        {
            var from = Checkpoints.Latest(killed.File("checkpoints")); // always whole
            goingOn += from is null ? 0 : 1;
            resumed.Add(from);
            var steps = random.Next(1, MostSteps + 1);
            var (exitCode, error) = kill % 2 == 0 || !FileSizeLimit.IsThere
                ? Run(killed.Path, KilledRun.StepMade, steps, random.Next(MostDelay + 1))
                : Run(killed.Path, arguments: [$"{steps}", $"{random.Next(largest)}"]);
            Assert.True(exitCode != 0 && error == "", $"Run {kill + 1} was to be killed, but ended with {exitCode}: {error}");
            whileWriting += IsUnfinished(killed.File("checkpoints")) ? 1 : 0;
        }
        Assert.Equal((0, ""), Run(killed.Path));

        Assert.True(whileWriting >= (FileSizeLimit.IsThere ? Kills / 4 : 0), $"{whileWriting} of {Kills} kills fell into a checkpoint's writing.");
        Assert.True(goingOn >= Kills * 3 / 4, $"{goingOn} of {Kills} killed runs had gone on from a checkpoint.");
        Assert.True(resumed.Count >= Kills / 2, $"{resumed.Count} different checkpoints were gone on from.");
        foreach (var name in (string[])["metrics.jsonl", "metrics.csv"])
            Assert.Equal(File.ReadAllText(whole.File(name)), File.ReadAllText(killed.File(name)));
        var (expected, actual) = (Files(whole.File("checkpoints")), Files(killed.File("checkpoints")));
        Assert.Equal(expected.Keys, actual.Keys);
        Assert.Contains(expected.Keys, name => name.EndsWith("/optimizer.safetensors", StringComparison.Ordinal));
        foreach (var (name, bytes) in expected)
            Assert.True(bytes.SequenceEqual(actual[name]), $"{name} differs.");
    }

    /// <summary>Whether a checkpoint was being written: one of its files has not its name yet.</summary>
    private static bool IsUnfinished(string folder) =>
        Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*.tmp", SearchOption.AllDirectories).Any();

    /// <summary>Runs until the end, or kills the run so many milliseconds after it wrote a sign so many times.</summary>
    internal static (int ExitCode, string Error) Run(string folder, char sign = default, int times = 0, int delay = 0, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [typeof(KilledRun).Assembly.Location, folder, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        for (var count = 0; process.StandardOutput.Read() is var read and >= 0;)
        {
            if (read != sign || ++count != times)
                continue;
            Thread.Sleep(delay);
            process.Kill();
        }
        process.WaitForExit();
        return (process.ExitCode, error.Result);
    }

    /// <summary>All files of all checkpoints.</summary>
    private static SortedDictionary<string, byte[]> Files(string folder) => new(
        CheckpointFolder.List(folder).SelectMany(entry => Directory.GetFiles(entry.Path))
            .ToDictionary(path => Path.GetRelativePath(folder, path), File.ReadAllBytes),
        StringComparer.Ordinal);
}
