using System.Diagnostics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What a process takes of a device's memory. LibTorch keeps what it has once taken of a GPU's, so that what is in use at the end was
/// in use at the peak; of the CPU's the highest resident memory is read.</summary>
internal static partial class DeviceMemory
{
    /// <summary>Bytes taken so far, at most.</summary>
    public static long Peak(Device device)
    {
        if (device.type == TorchSharp.DeviceType.CPU)
        {
            using var process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
        // Of the driver's, since TorchSharp does not hand on LibTorch's own count.
        return MemGetInfo(out var free, out var total) == 0 ? (long)(total - free) : throw new InvalidOperationException("The driver does not say how much memory is free.");
    }

    /// <summary>Waits until a device has done all it was given.</summary>
    public static void Wait(Device device)
    {
        if (device.type == TorchSharp.DeviceType.CUDA)
            cuda.synchronize();
    }

    [LibraryImport("libcuda.so.1", EntryPoint = "cuMemGetInfo_v2")]
    private static partial int MemGetInfo(out nuint free, out nuint total);
}
