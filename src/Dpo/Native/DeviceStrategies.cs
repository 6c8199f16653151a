using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// Where work is done in one way on a CPU and in another on any other device: loops over memory here; there, few operations over
/// many tensors, and nothing that the host waits for.
/// </summary>
internal static class DeviceStrategies
{
    private static bool forced;

    /// <summary>Whether tensors on a device are worked on as on a GPU.</summary>
    public static bool AreFor(Device device) => forced || device.type != TorchSharp.DeviceType.CPU;

    /// <summary>Whether completions are sampled on a device as on a GPU: its draws add up in float64, which CUDA has.</summary>
    public static bool AreForSampling(Device device) => forced || device.type == TorchSharp.DeviceType.CUDA;

    /// <summary>Has the CPU work as a GPU does, until the result is disposed: for tests, whose machine may have none.</summary>
    public static IDisposable OnCpu() => new OnCpuToo();

    private sealed class OnCpuToo : IDisposable
    {
        public OnCpuToo() => forced = true;

        public void Dispose() => forced = false;
    }
}
