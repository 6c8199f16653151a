using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Dpo.Files;

/// <summary>
/// Opens files that others made, for reading. Pipes and devices are refused by name: opening a pipe waits for a writer that may never
/// come, and some devices never end.
/// </summary>
/// <remarks>What the system says of a file that is missing or protected comes as <see cref="IOException"/> or
/// <see cref="UnauthorizedAccessException"/>, as from <see cref="File"/>.</remarks>
internal static partial class RegularFile
{
    /// <summary>Opens a file to be read at any place.</summary>
    /// <exception cref="InvalidInputException">It is a pipe or a device.</exception>
    public static SafeFileHandle OpenHandle(string path)
    {
        Check(path);
        return File.OpenHandle(path);
    }

    /// <summary>Opens a file to be read from its beginning.</summary>
    /// <exception cref="InvalidInputException">It is a pipe or a device.</exception>
    public static FileStream OpenRead(string path)
    {
        Check(path);
        return File.OpenRead(path);
    }

    /// <summary>Reads a whole file; nothing is allocated before its length is known to be allowed.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maximum">The most bytes it may have.</param>
    /// <exception cref="InvalidInputException">It is a pipe or a device, or longer.</exception>
    public static byte[] ReadAllBytes(string path, int maximum)
    {
        using var file = OpenHandle(path);
        var length = RandomAccess.GetLength(file);
        if (length > maximum)
            throw new InvalidInputException($"{path} has {length} bytes; at most {maximum} are read of such a file.");
        var bytes = new byte[length];
        var done = 0;
        while (done < bytes.Length && RandomAccess.Read(file, bytes.AsSpan(done), done) is > 0 and var read)
            done += read;
        return bytes[..done];
    }

    /// <summary>Refuses what has no length: a pipe, which cannot say one, or a device, which says 0 and has bytes all the same. Windows
    /// keeps such things out of folders.</summary>
    private static void Check(string path)
    {
        if (OperatingSystem.IsWindows() || Directory.Exists(path))
            return;
        using var file = OpenWithoutWaiting(path, OperatingSystem.IsMacOS() ? 0x1000004 : 0x80800);
        if (file.IsInvalid)
        {
            // A socket cannot be opened; for anything else the call that follows says what is the matter.
            const int NoSuchDevice = 6;
            if (Marshal.GetLastPInvokeError() == NoSuchDevice)
                throw Refusal(path);
            return;
        }
        try
        {
            if (RandomAccess.GetLength(file) > 0 || RandomAccess.Read(file, new byte[1], fileOffset: 0) == 0)
                return;
        }
        catch (Exception e) when (e is NotSupportedException or IOException)
        {
            throw new InvalidInputException(Refusal(path).Message, e);
        }
        throw Refusal(path);
    }

    private static InvalidInputException Refusal(string path) =>
        new($"{path} is a pipe or a device, which has no length; give a regular file.");

    /// <summary>Opens to read, without waiting (<c>O_NONBLOCK</c>) and not for child processes (<c>O_CLOEXEC</c>).</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle OpenWithoutWaiting(string path, int flags);
}
