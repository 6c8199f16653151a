using static TorchSharp.torch;

namespace Dpo;

/// <summary>Numbers of the host's, copied to a device.</summary>
internal static class DeviceCopy
{
    /// <summary>A tensor of the numbers, <c>[n]</c>, int64.</summary>
    public static Tensor Of(long[] values, Device device) => tensor(values, device: device);

    /// <summary>The same, fp32.</summary>
    public static Tensor Of(float[] values, Device device) => tensor(values, device: device);
}
