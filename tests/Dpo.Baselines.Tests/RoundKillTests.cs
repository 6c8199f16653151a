using System.Diagnostics;
using Dpo.Tests;

namespace Dpo.Baselines.Tests;

public class RoundKillTests
{
    private const int Kills = 20;

    /// <summary>SIGKILL while a round samples, scores, is trained on, saved or told: at the end there are the bytes of the run that was
    /// left alone.</summary>
    [Theory]
    [InlineData("ppo")]
    [InlineData("dpo")]
    public void A_run_killed_at_any_moment_ends_as_the_run_that_was_not(string kind)
    {
        using var whole = new TemporaryFolder();
        using var killed = new TemporaryFolder();
        Assert.Equal(0, Run(whole.Path, kind));
        var random = new Random(4);
        var resumed = new HashSet<string?>();
        for (var kill = 0; kill < Kills; kill++)
        {
            resumed.Add(Checkpoints.Latest(killed.Path)); // always whole
            var sign = kill % 2 == 0 ? KilledCourse.Told : KilledCourse.Scored;
            Assert.NotEqual(0, Run(killed.Path, kind, sign, times: 1 + random.Next(2), delay: random.Next(60)));
        }
        Assert.Equal(0, Run(killed.Path, kind));
        Assert.True(resumed.Count >= Kills / 2, $"{resumed.Count} different checkpoints were gone on from.");
        var (expected, actual) = (Files(whole.Path), Files(killed.Path));
        Assert.Equal(expected.Keys, actual.Keys);
        Assert.Contains(expected.Keys, name => name.EndsWith("/optimizer.safetensors", StringComparison.Ordinal));
        foreach (var (name, bytes) in expected)
            Assert.True(bytes.SequenceEqual(actual[name]), $"{name} differs.");
    }

    /// <summary>Runs until the end, or kills the run so many milliseconds after it wrote a sign so many times.</summary>
    private static int Run(string folder, string kind, char sign = default, int times = 0, int delay = 0)
    {
        var start = new ProcessStartInfo("dotnet", [typeof(KilledCourse).Assembly.Location, folder, kind]) { RedirectStandardOutput = true };
        // What is told apart is moments, not cores.
        start.Environment["OMP_NUM_THREADS"] = "1";
        using var process = Process.Start(start)!;
        for (var count = 0; process.StandardOutput.Read() is var read and >= 0;)
        {
            if (read != sign || ++count != times)
                continue;
            Thread.Sleep(delay);
            process.Kill();
        }
        process.WaitForExit();
        return process.ExitCode;
    }

    private static SortedDictionary<string, byte[]> Files(string folder) => new(
        CheckpointFolder.List(folder).SelectMany(entry => Directory.GetFiles(entry.Path))
            .ToDictionary(path => Path.GetRelativePath(folder, path), File.ReadAllBytes),
        StringComparer.Ordinal);
}
