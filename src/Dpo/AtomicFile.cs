namespace Dpo;

/// <summary>Files that are either written whole or not at all.</summary>
internal static class AtomicFile
{
    /// <summary>What a thread's files are written through; tests put a full disk or a slow one there.</summary>
    [field: ThreadStatic]
    internal static Func<Stream, Stream>? Through { get; set; }

    /// <summary>
    /// Lets <paramref name="write"/> fill a temporary file beside <paramref name="path"/>, flushes it to the disk and renames
    /// it over <paramref name="path"/>. Where anything fails the temporary file is deleted and the old file is untouched.
    /// </summary>
    public static void Write(string path, Action<Stream> write)
    {
        // The name is unique, so that two writers of one path cannot rename each other's half-written file.
        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16))
            {
                write(Through?.Invoke(stream) ?? stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            // A missing folder leaves nothing to delete, and deleting would hide the first failure behind a second.
            if (File.Exists(temporary))
                File.Delete(temporary);
            throw;
        }
    }
}
