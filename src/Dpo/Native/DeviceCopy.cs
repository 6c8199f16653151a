using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>Numbers of managed memory as a tensor on a device. What is made for an NVIDIA GPU is copied from page-locked memory
/// while the device goes on with what it was given before; <c>tensor(values, device: …)</c> would wait until it is through with
/// that.</summary>
internal static class DeviceCopy
{
    /// <summary>A tensor of the values, int64, of the current dispose scope.</summary>
    public static Tensor Of(long[] values, Device device) => Sent(tensor(values, device: CPU), device);

    /// <summary>A tensor of the values, int32.</summary>
    public static Tensor Of(int[] values, Device device) => Sent(tensor(values, device: CPU), device);

    /// <summary>A tensor of the values, fp32.</summary>
    public static Tensor Of(float[] values, Device device) => Sent(tensor(values, device: CPU), device);

    private static Tensor Sent(Tensor here, Device device)
    {
        if (device.type == TorchSharp.DeviceType.CPU)
            return here;
        using (here)
        {
            if (device.type != TorchSharp.DeviceType.CUDA)
                return here.to(device);
            // LibTorch keeps the page-locked memory until the copy is through, whenever its tensor is disposed.
            using var locked = here.pin_memory();
            return locked.to(device, non_blocking: true);
        }
    }
}
