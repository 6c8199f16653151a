using System.Globalization;
using Dpo.Files;

namespace Dpo.Training.Checkpointing;

/// <summary>The checkpoints of a run as folders: written whole or not at all, and checked before they are used.</summary>
internal static class CheckpointFolder
{
    private const string Prefix = "step-";
    private const string Unfinished = ".unfinished-";

    /// <summary>All checkpoints in a folder, the newest first; nothing of them is read.</summary>
    public static IReadOnlyList<(int Step, string Path)> List(string folder) => !Directory.Exists(folder) ? [] :
    [
        .. Directory.EnumerateDirectories(folder, Prefix + "*")
            .Select(path => (Step: StepOf(Path.GetFileName(path)), Path: path))
            .Where(entry => entry.Step >= 0)
            .OrderByDescending(entry => entry.Step),
    ];

    /// <summary>Where the checkpoint of a step lies.</summary>
    public static string PathOf(string folder, int step) =>
        Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{step:000000}"));

    /// <summary>Writes a checkpoint beside its place, flushes it and renames it.</summary>
    /// <param name="folder">The run's checkpoints.</param>
    /// <param name="state">Its state, without the files.</param>
    /// <param name="write">Writes all other files, each flushed, into the folder it is given.</param>
    /// <returns>The checkpoint's path.</returns>
    public static string Write(string folder, CheckpointState state, Action<string> write)
    {
        var target = PathOf(folder, state.Position.Step);
        var temporary = Temporary(folder);
        try
        {
            Directory.CreateDirectory(temporary);
            write(temporary);
            // Hashed from the files, not from memory: what can be read back is what counts.
            var files = Directory.EnumerateFiles(temporary).Order(StringComparer.Ordinal)
                .ToDictionary(path => Path.GetFileName(path), HashOf);
            (state with { Files = files }).Write(temporary);
            DurableFolder.Flush(temporary);
            if (Directory.Exists(target))
                Delete(folder, target); // of a course that the run was taken back from
            Directory.Move(temporary, target);
            DurableFolder.Flush(folder);
            return target;
        }
        catch
        {
            // Deleting may fail for the same reason, and would hide it.
            try
            {
                if (Directory.Exists(temporary))
                    Directory.Delete(temporary, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
            }
            throw;
        }
    }

    /// <summary>Reads a checkpoint's state, and every other file once to see that it is as it was written.</summary>
    /// <exception cref="InvalidInputException">A file is missing, damaged or foreign; the message names it.</exception>
    public static CheckpointState Verify(string checkpoint)
    {
        var state = CheckpointState.Read(checkpoint);
        foreach (var (name, expected) in state.Files)
        {
            var path = Path.Combine(checkpoint, name);
            if (!File.Exists(path))
                throw new InvalidInputException($"{checkpoint} lacks {name}, which belongs to it.");
            string actual;
            try
            {
                actual = HashOf(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new InvalidInputException($"{path} cannot be read: {e.Message}", e);
            }
            if (actual != expected)
                throw new InvalidInputException(
                    $"{path} is damaged or was exchanged: its checksum is not the one in {CheckpointState.FileName}.");
        }
        return state;
    }

    /// <summary>Deletes a checkpoint so that no part of it can be taken for one.</summary>
    public static void Delete(string folder, string checkpoint)
    {
        var temporary = Temporary(folder);
        Directory.Move(checkpoint, temporary);
        Directory.Delete(temporary, recursive: true);
    }

    /// <summary>Deletes what an interrupted run left unfinished.</summary>
    public static void Clean(string folder)
    {
        foreach (var path in Directory.EnumerateDirectories(folder, Unfinished + "*"))
            Directory.Delete(path, recursive: true);
    }

    private static string Temporary(string folder) => Path.Combine(folder, $"{Unfinished}{Guid.NewGuid():N}");

    private static int StepOf(string name) =>
        int.TryParse(name[Prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var step)
        && name == Path.GetFileName(PathOf("", step))
            ? step
            : -1;

    private static string HashOf(string path)
    {
        using var stream = RegularFile.OpenRead(path);
        return Digest.Of(stream);
    }
}
