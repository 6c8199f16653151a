using System.Diagnostics;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>Which precision's peak to measure.</summary>
internal sealed record GemmRequest(bool BFloat16);

/// <summary>What the machine's matrix products reach at best: the peak that a step's share is taken of.</summary>
internal static class GemmPeak
{
    public const string Child = "gemm-child";

    private const double SecondsPerShape = 0.5;

    /// <summary>[M, K] × [K, N]: two squares, and GPT-2 124M's own products over 2,048 tokens.</summary>
    private static readonly (string Name, long M, long K, long N)[] Shapes =
    [
        ("square 1024", 1024, 1024, 1024),
        ("square 2048", 2048, 2048, 2048),
        ("feed-forward up", 2048, 768, 3072),
        ("feed-forward down", 2048, 3072, 768),
        ("head, one vocabulary block", 2048, 768, 2048),
    ];

    /// <summary>Measures it in a process of its own.</summary>
    public static double InChild(bool bf16) => ChildProcess.Run<GemmRequest, double>(Child, new(bf16));

    /// <summary>Floating point operations per second of the fastest shape.</summary>
    public static double Measure(GemmRequest request)
    {
        var type = request.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32;
        return Shapes.Max(shape => Measure(shape.M, shape.K, shape.N, type));
    }

    private static double Measure(long m, long k, long n, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var (left, right, product) = (rand(m, k).to(type), rand(k, n).to(type), zeros(m, n, type));
        var fastest = double.PositiveInfinity;
        for (var clock = Stopwatch.StartNew(); clock.Elapsed.TotalSeconds < SecondsPerShape;)
        {
            var begin = clock.Elapsed.TotalSeconds;
            product.addmm_(left, right, beta: 0, alpha: 1);
            fastest = Math.Min(fastest, clock.Elapsed.TotalSeconds - begin);
        }
        return 2.0 * m * k * n / fastest;
    }
}
