using System.Runtime.InteropServices;

namespace Dpo.Tests;

/// <summary>Ends this process in the middle of a file, at the first byte that lies beyond a number of bytes: by the system's own limit,
/// whose signal, SIGXFSZ, leaves a process as little to do as SIGKILL.</summary>
internal static class FileSizeLimit
{
    private const int FileSize = 1;
    private const int CoreDump = 4;

    /// <summary>Windows has none.</summary>
    public static bool IsThere => !OperatingSystem.IsWindows();

    public static void Set(long bytes)
    {
        foreach (var (resource, limit) in ((int, ulong)[])[(CoreDump, 0), (FileSize, (ulong)bytes)])
        {
            if (GetLimit(resource, out var limits) != 0 || SetLimit(resource, limits with { Soft = limit }) != 0)
                throw new IOException($"The system's limit {resource} cannot be set ({Marshal.GetLastPInvokeErrorMessage()}).");
        }
    }

    [DllImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static extern int GetLimit(int resource, out Limits limits);

    [DllImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static extern int SetLimit(int resource, in Limits limits);

    [StructLayout(LayoutKind.Sequential)]
    private record struct Limits
    {
        public ulong Soft;
        public ulong Hard;
    }
}
