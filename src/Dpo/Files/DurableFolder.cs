using System.Runtime.InteropServices;

namespace Dpo.Files;

/// <summary>Folders whose names are on the disk, not only in the system's memory.</summary>
internal static partial class DurableFolder
{
    /// <summary>Flushes what was made, renamed and deleted in a folder. Windows has no such call and needs none.</summary>
    public static void Flush(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        const int ReadOnly = 0;
        var handle = Open(folder, ReadOnly);
        if (handle < 0)
            throw new IOException($"{folder} cannot be opened to flush it: {Marshal.GetLastPInvokeErrorMessage()}.");
        // Some file systems cannot flush a folder; they say so and keep it all the same.
        _ = Flush(handle);
        _ = Close(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Flush(int handle);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int handle);
}
