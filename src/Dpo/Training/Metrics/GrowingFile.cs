namespace Dpo.Training.Metrics;

/// <summary>A file that a run appends to as long as it goes. It is made, or cut and gone on with, when the first piece comes: a
/// run that is refused before that leaves it as it was.</summary>
/// <param name="path">Where it lies.</param>
/// <param name="kept">How many bytes of the file that is there stay; 0 replaces it.</param>
internal sealed class GrowingFile(string path, long kept = 0) : IDisposable
{
    private FileStream? stream;

    /// <summary>Appends a piece; it is in the file when the call returns.</summary>
    /// <exception cref="IOException">It cannot be written, or the file is no longer the one at its path.</exception>
    public void Append(ReadOnlySpan<byte> piece)
    {
        // Without a buffer: a piece is one write, and whoever reads meanwhile finds whole ones.
        stream ??= Open();
        stream.Write(piece);
        RequireThere();
    }

    /// <summary>Has the disk keep what was appended, so that it outlives a power cut too.</summary>
    public void Flush() => stream?.Flush(flushToDisk: true);

    /// <summary>Refuses to go on where the path no longer leads to the file: what is written would be lost without a
    /// word.</summary>
    public void RequireThere()
    {
        if (stream is not null && (new FileInfo(path) is not { Exists: true } file || file.Length != stream.Position))
            throw Gone();
    }

    /// <summary>Closes it.</summary>
    public void Dispose() => stream?.Dispose();

    private FileStream Open()
    {
        try
        {
            var opened = new FileStream(
                path, kept == 0 ? FileMode.Create : FileMode.Open, FileAccess.Write, FileShare.Read, bufferSize: 0);
            opened.SetLength(kept);
            opened.Position = kept;
            return opened;
        }
        catch (Exception e) when (e is DirectoryNotFoundException or FileNotFoundException)
        {
            throw Gone(e);
        }
    }

    private IOException Gone(Exception? because = null) => new(
        $"{path} was removed, renamed or replaced while the run wrote to it; " +
        "leave the folder where it is until the run ends.", because);
}
