using System.Diagnostics;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What a device's bf16 matrix products reach: the peak that a step's share is taken of.</summary>
internal static class DevicePeak
{
    public const string Child = "device-peak-child";

    private const int Products = 20;

    /// <summary>What to measure: square products of a size.</summary>
    internal sealed record Request(string Device, long Size);

    /// <summary>Floating point operations a second, the best of three rounds of 20 products.</summary>
    public static double Measure(Request request)
    {
        var on = new Device(request.Device);
        using var scope = NewDisposeScope();
        var size = request.Size;
        var (left, right) = (randn(size, size, device: on).to(ScalarType.BFloat16), randn(size, size, device: on).to(ScalarType.BFloat16));
        var product = zeros(size, size, ScalarType.BFloat16, on);
        var fastest = double.PositiveInfinity;
        for (var round = 0; round < 4; round++)
        {
            DeviceMemory.Wait(on);
            var clock = Stopwatch.StartNew();
            for (var index = 0; index < Products; index++)
                product.addmm_(left, right, beta: 0, alpha: 1);
            DeviceMemory.Wait(on);
            if (round > 0)
                fastest = Math.Min(fastest, clock.Elapsed.TotalSeconds);
        }
        return 2.0 * size * size * size * Products / fastest;
    }
}
