using static TorchSharp.torch;

namespace Dpo;

/// <summary>Tensors of numbers that the program has, on a device.</summary>
internal static class DeviceCopy
{
    /// <summary>The numbers, int64.</summary>
    public static Tensor Of(long[] values, Device device) => tensor(values, device: device);

    /// <summary>The numbers, fp32.</summary>
    public static Tensor Of(float[] values, Device device) => tensor(values, device: device);
}
