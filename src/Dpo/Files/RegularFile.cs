using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Dpo.Files;

/// <summary>
/// Opens files that others made, for reading. Pipes and devices are refused by name: opening a pipe waits for a writer that may
/// never come, and some devices never end.
/// </summary>
/// <remarks>A file that is missing, protected, or on a disk that fails is refused by name too.</remarks>
internal static partial class RegularFile
{
    /// <summary>Opens a file to be read at any place.</summary>
    /// <exception cref="InvalidInputException">It is a pipe or a device, or cannot be opened.</exception>
    public static SafeFileHandle OpenHandle(string path) => Open(path, () => File.OpenHandle(path));

    /// <summary>Opens a file to be read from its beginning.</summary>
    /// <exception cref="InvalidInputException">It is a pipe or a device, or cannot be opened.</exception>
    public static FileStream OpenRead(string path) => Open(path, () => File.OpenRead(path));

    /// <summary>Reads a whole file; nothing is allocated before its length is known to be allowed.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maximum">The most bytes it may have.</param>
    /// <exception cref="InvalidInputException">It is a pipe or a device, or longer, or cannot be read.</exception>
    public static byte[] ReadAllBytes(string path, int maximum)
    {
        using var file = OpenHandle(path);
        try
        {
            return ReadAllBytes(file, path, maximum);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(path, e);
        }
    }

    private static byte[] ReadAllBytes(SafeFileHandle file, string path, int maximum)
    {
        var length = RandomAccess.GetLength(file);
        if (length > maximum)
            throw new InvalidInputException($"{path} has {length} bytes; at most {maximum} are read of such a file.");
        var bytes = new byte[length];
        return bytes[..file.ReadUpTo(bytes, 0)];
    }

    private static T Open<T>(string path, Func<T> open)
    {
        try
        {
            Require(path);
            return open();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(path, e);
        }
    }

    private static InvalidInputException Unreadable(string path, Exception e) => new($"{path} cannot be read: {e.Message}", e);

    /// <summary>Refuses what has no length: a pipe, which cannot say one, or a device, which says 0 and has bytes all the same. A
    /// file that is not there passes. Windows keeps such things out of folders.</summary>
    /// <exception cref="InvalidInputException">It is a pipe or a device.</exception>
    public static void Require(string path)
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
