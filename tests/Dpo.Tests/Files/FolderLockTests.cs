using System.Diagnostics;

namespace Dpo.Tests;

public sealed class FolderLockTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private string Refusal() => Assert.Throws<InvalidInputException>(() => new FolderLock(folder.Path)).Message;

    [Fact]
    public void A_folder_that_is_held_is_refused_and_free_afterwards()
    {
        using (new FolderLock(folder.Path))
            Assert.Equal($"{folder.Path} is being written to by another run; wait for its end, or give another folder.", Refusal());
        new FolderLock(folder.Path).Dispose();
    }

    /// <summary>Linux does not let a program that runs be written to.</summary>
    [Fact]
    public void Another_error_is_told_and_no_other_run_is_blamed()
    {
        if (!File.Exists("/bin/sleep") || !OperatingSystem.IsLinux())
            return;
        File.Copy("/bin/sleep", folder.File(FolderLock.FileName));
        using var running = Process.Start(folder.File(FolderLock.FileName), "60")!;
        Assert.Matches($"^Nothing can be written to {folder.Path}: .*busy", Refusal());
        running.Kill();
        running.WaitForExit();
    }

    [Fact]
    public void A_lock_that_is_no_file_is_told()
    {
        Directory.CreateDirectory(folder.File(FolderLock.FileName));
        Assert.StartsWith($"Nothing can be written to {folder.Path}: ", Refusal(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_is_gone_is_noticed()
    {
        using var claim = new FolderLock(folder.File("run"));
        claim.RequireHeld();
        Directory.Move(folder.File("run"), folder.File("elsewhere"));
        var message = $"{folder.File("run")} was removed or renamed while it was being written to; what it held is no longer there.";
        Assert.Equal(message, Assert.Throws<IOException>(claim.RequireHeld).Message);
        Directory.CreateDirectory(folder.File("run"));
        Assert.Equal(message, Assert.Throws<IOException>(claim.RequireHeld).Message);
    }
}
