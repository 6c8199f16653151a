using static TorchSharp.torch;

namespace Dpo;

/// <summary>Copies the host's numbers to a device.</summary>
internal static class DeviceCopy
{
    /// <summary>Whole numbers, <c>[N]</c>, int64, of the current dispose scope.</summary>
    public static Tensor Of(long[] values, Device device) => tensor(values, device: device);

    /// <summary>Numbers, <c>[N]</c>, fp32, of the current dispose scope.</summary>
    public static Tensor Of(float[] values, Device device) => tensor(values, device: device);
}
