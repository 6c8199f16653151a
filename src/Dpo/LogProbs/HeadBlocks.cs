using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>How the head cuts its work: into blocks of the logits, and pieces of what goes with them.</summary>
/// <param name="Rows">The most rows of a block.</param>
/// <param name="Columns">The most vocabulary entries of a block.</param>
/// <param name="GatheredRows">The most hidden states that are copied together; a multiple of <paramref name="Rows"/>. A piece of
/// the weight is cast once for all of them.</param>
/// <param name="Targets">The most targets that are computed together.</param>
internal sealed record HeadBlocks(long Rows, long Columns, long GatheredRows, long Targets)
{
    /// <summary>Fewer rows than these would not be worth reading the weight for.</summary>
    private const int FewestRows = 1024;

    /// <summary>Rows of logits begin where tensor cores want them to: 50,257 entries are 50,240 and a small block of
    /// 17.</summary>
    private const int Aligned = 64;

    /// <summary>On the CPU: 512 rows and 2,048 columns are enough for the matrix product's full speed, and the block's 4 MB stay
    /// in the cache for the element-wise work.</summary>
    public static HeadBlocks OfCpu { get; } = new(512, 2048, 4 * 512, 512);

    /// <summary>Those for a device: on a GPU, which is bound by launches, as few as memory allows.</summary>
    /// <param name="device">The head's device.</param>
    /// <param name="weight">The head's weight, <c>[V, D]</c>.</param>
    /// <param name="memory">Bytes of logits of a block, on anything but the CPU.</param>
    public static HeadBlocks Of(Device device, Tensor weight, long memory) =>
        DeviceStrategies.AreFor(device) ? Within(memory, weight.shape[0], weight.shape[1]) : OfCpu;

    /// <summary>The largest that keep within a number of bytes: a block's fp32 logits, a piece of the weight cast to bf16, the
    /// gathered states' fp32 gradients, and what is copied for targets. All of the vocabulary, if it leaves enough
    /// rows.</summary>
    public static HeadBlocks Within(long memory, long vocabulary, long width)
    {
        var logits = memory / sizeof(float);
        var mostColumns = AlignedDown(Math.Min(logits / FewestRows, memory / (2 * width)));
        var pieces = (vocabulary + mostColumns - 1) / mostColumns;
        var columns = AlignedDown(vocabulary / pieces);
        var rows = AlignedDown(logits / columns);
        return new(rows, columns, rows * Math.Max(1, logits / width / rows), Math.Max(1, logits / (4 * width)));
    }

    /// <summary>The multiple of <see cref="Aligned"/> below, or a number that is less as it is, but not 0.</summary>
    private static long AlignedDown(long number) => number < Aligned ? Math.Max(number, 1) : number / Aligned * Aligned;
}
