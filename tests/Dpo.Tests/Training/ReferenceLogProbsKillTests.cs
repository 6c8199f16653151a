namespace Dpo.Tests;

public class ReferenceLogProbsKillTests
{
    private const int Kills = 12;

    /// <summary>SIGKILL after a few batches, so many milliseconds later; and the last ones in the middle of the file that is made of
    /// them. Each run goes on where the last one was, and the file is that of a run that was not killed.</summary>
    [Fact]
    public void A_computation_killed_at_any_moment_goes_on_where_it_was()
    {
        using var whole = new TemporaryFolder();
        using var killed = new TemporaryFolder();
        Assert.Equal((0, ""), KillTests.Run(whole.Path, arguments: KilledReference.Argument));
        var random = new Random(4);
        var partial = killed.File(KilledReference.FileName + ".partial");
        var length = (int)new FileInfo(whole.File(KilledReference.FileName)).Length;
        var sizes = new List<long> { 0 };
        for (var kill = 0; kill < Kills; kill++)
        {
            var (exitCode, error) = kill < Kills - 3 || !FileSizeLimit.IsThere
                ? KillTests.Run(killed.Path, KilledRun.StepMade, random.Next(1, 4), random.Next(4), KilledReference.Argument)
                : KillTests.Run(killed.Path, arguments: [KilledReference.Argument, kill == Kills - 3 ? "1" : "0", $"{random.Next(length)}"]);
            Assert.True(exitCode != 0 && error == "", $"Run {kill + 1} was to be killed, but ended with {exitCode}: {error}");
            Assert.False(File.Exists(killed.File(KilledReference.FileName)));
            sizes.Add(new FileInfo(partial).Length);
        }
        Assert.Equal((0, ""), KillTests.Run(killed.Path, arguments: KilledReference.Argument));

        Assert.Equal(sizes.Order(), sizes); // nothing that was whole is lost
        Assert.True(sizes.Distinct().Count() > Kills / 2, "The kills fell at one place.");
        Assert.Equal(File.ReadAllBytes(whole.File(KilledReference.FileName)), File.ReadAllBytes(killed.File(KilledReference.FileName)));
        Assert.False(File.Exists(partial));
    }
}
