using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// The one place where training and evaluation take numbers from the model's device. A read waits until the device has done all
/// that was asked of it before, and leaves it without work meanwhile: once a step, and once an evaluation.
/// </summary>
internal static class HostRead
{
    /// <summary>How often numbers were read since the process began.</summary>
    public static int Count { get; private set; }

    /// <summary>What sums are kept in that nobody reads yet: fp64, or fp32 on a device without it.</summary>
    public static ScalarType Precision(Device device) => device.type == DeviceType.MPS ? float32 : float64;

    /// <summary>Reads tensors together, in one copy.</summary>
    /// <param name="tensors">At least one; of any shapes and floating-point types, on one device, of which that of the first is
    /// meant.</param>
    /// <returns>All their elements, tensor after tensor.</returns>
    public static double[] Of(params IReadOnlyList<Tensor> tensors)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Count++;
        var device = tensors[0].device;
        var precision = Precision(device);
        return [.. cat([.. tensors.Select(tensor => tensor.to(precision, device).flatten())]).cpu().to(float64).data<double>()];
    }
}
