namespace Dpo.Files;

/// <summary>
/// A claim on a folder that programs write to: while one process holds it, no other gets it. The system takes it back when the
/// process ends, however it ends.
/// </summary>
/// <remarks>
/// It is an open file in the folder, which stays there. Network file systems that do not know file locks do not keep a second
/// process out.
/// </remarks>
public sealed class FolderLock : IDisposable
{
    /// <summary>The open file's name.</summary>
    public const string FileName = ".folder.lock";

    private readonly FileStream file;
    private readonly string folder;

    /// <summary>Claims a folder, which is made where it is missing.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InvalidInputException">Another process, or another part of this one, holds it, or nothing can be written
    /// there.</exception>
    public FolderLock(string folder)
        : this(folder, FileName)
    {
    }

    /// <summary>Claims what goes by a name in a folder.</summary>
    internal FolderLock(string folder, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        this.folder = folder;
        var path = Path.Combine(folder, name);
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{folder} cannot be made, so nothing can be written there: {e.Message}", e);
        }
        try
        {
            // Never deleted: a process that had just opened it would lock a file that no other one finds.
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (IsHeld(e))
        {
            throw new InvalidInputException(
                $"{folder} is being written to by another run; wait for its end, or give another folder.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"Nothing can be written to {folder}: {e.Message}", e);
        }
    }

    /// <summary>Refuses to go on where the folder is no longer the one that was claimed: what is written there now would lie
    /// apart from what was, and unclaimed.</summary>
    /// <exception cref="IOException">The claimed folder was removed, renamed or made anew.</exception>
    public void RequireHeld()
    {
        if (!File.Exists(file.Name))
            throw new IOException(
                $"{folder} was removed or renamed while it was being written to; what it held is no longer there.");
    }

    /// <summary>Whether a file could not be opened because it is open elsewhere, as Linux, macOS and Windows say it.</summary>
    private static bool IsHeld(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);

    /// <summary>Gives the folder up.</summary>
    public void Dispose() => file.Dispose();
}
