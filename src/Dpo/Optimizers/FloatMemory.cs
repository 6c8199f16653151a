using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>A tensor's 32-bit floats in CPU memory, valid while the tensor is alive.</summary>
internal readonly unsafe struct FloatMemory
{
    /// <summary>What a thread works on at a time: small enough to share the work out evenly, large enough not to notice
    /// it.</summary>
    private const int ChunkLength = 1 << 16;

    private readonly float* start;

    /// <param name="tensor">One that <see cref="Holds"/> says yes to.</param>
    public FloatMemory(Tensor tensor) => start = TensorMemory.Start<float>(tensor);

    /// <summary>Whether a tensor is a run of 32-bit floats in CPU memory, and not empty; no to everything where the CPU is to
    /// work as other devices do (<see cref="DeviceStrategies"/>).</summary>
    public static bool Holds(Tensor tensor) =>
        !DeviceStrategies.AreFor(tensor.device) && tensor.dtype == float32 && tensor.is_contiguous() && tensor.numel() > 0;

    public Span<float> Slice(Chunk chunk) => new(start + chunk.Start, chunk.Length);

    /// <summary>Part of one of several tensors.</summary>
    public readonly record struct Chunk(int Tensor, long Start, int Length);

    /// <summary>Cuts tensors into chunks, in a way that depends on their sizes alone.</summary>
    public static Chunk[] Chunks(IEnumerable<Tensor> tensors)
    {
        var chunks = new List<Chunk>();
        foreach (var (index, tensor) in tensors.Index())
        {
            var length = tensor.numel();
            for (long start = 0; start < length; start += ChunkLength)
                chunks.Add(new Chunk(index, start, (int)Math.Min(ChunkLength, length - start)));
        }
        return [.. chunks];
    }

    /// <summary>Works on chunks, on as many threads as LibTorch uses.</summary>
    /// <param name="chunks">The chunks.</param>
    /// <param name="action">Is called with the place of each chunk in the list.</param>
    public static void ForEach(IReadOnlyList<Chunk> chunks, Action<int> action) =>
        ThreadTeam.Run(chunks.Count, action);
}
