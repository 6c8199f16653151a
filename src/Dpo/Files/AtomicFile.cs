namespace Dpo.Files;

/// <summary>Files that are either written whole or not at all.</summary>
internal static class AtomicFile
{
    private const string Suffix = ".tmp";

    /// <summary>How long the identifier in a temporary file's name is.</summary>
    private const int IdLength = 32;

    /// <summary>
    /// Lets <paramref name="write"/> fill a temporary file beside <paramref name="path"/>, flushes it to the disk, renames it
    /// over <paramref name="path"/> and flushes the folder, so that the name outlives a power cut too. Where anything fails
    /// before the renaming the temporary file is deleted and the old file is untouched. What a killed process left of earlier
    /// writes of the same path is deleted first. A link at <paramref name="path"/> is replaced, and not what it points to.
    /// </summary>
    public static void Write(string path, Action<Stream> write)
    {
        Sweep(path);
        // The name is unique, so that two writers of one path cannot rename each other's half-written file.
        var temporary = $"{path}.{Guid.NewGuid():N}{Suffix}";
        try
        {
            // Open until it has its name: an open file is one that nobody sweeps away. Windows renames it so if deleting is
            // shared.
            using var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Delete, 1 << 16);
            write(stream);
            stream.Flush(flushToDisk: true);
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            // A missing folder leaves nothing to delete, and deleting would hide the first failure behind a second.
            if (File.Exists(temporary))
                File.Delete(temporary);
            throw;
        }
        DurableFolder.Flush(FolderOf(path));
    }

    /// <summary>Deletes temporary files of a path that no process holds open.</summary>
    private static void Sweep(string path)
    {
        var folder = FolderOf(path);
        if (!Directory.Exists(folder))
            return;
        foreach (var file in new DirectoryInfo(folder).EnumerateFiles("*" + Suffix)
            .Where(file => IsTemporary(file.Name, Path.GetFileName(path))))
        {
            try
            {
                // A link is deleted as it is: what it points to is none of ours.
                if (file.LinkTarget is null)
                    new FileStream(file.FullName, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
                file.Delete();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another process is writing it, has just renamed it, or owns it: it is not ours to delete.
            }
        }
    }

    private static bool IsTemporary(string name, string target) =>
        name.Length == target.Length + 1 + IdLength + Suffix.Length
        && name.StartsWith(target + ".", StringComparison.Ordinal)
        && Guid.TryParseExact(name.AsSpan(target.Length + 1, IdLength), "N", out _);

    private static string FolderOf(string path) => Path.GetDirectoryName(Path.GetFullPath(path))!;
}
