using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Dpo.Benchmarks;

/// <summary>Memory as large as a key/value cache, read once and no more: what no attention of a token step can do without.</summary>
internal sealed unsafe class CacheRead : IDisposable
{
    private readonly Tensor[] tensors;
    private readonly int sequences;
    private readonly int heads;
    private readonly int size;
    private int sum;

    /// <param name="config">The model's shape.</param>
    /// <param name="sequences">Sequences.</param>
    /// <param name="capacity">Columns of a head.</param>
    /// <param name="elementSize">Bytes of a number.</param>
    public CacheRead(Gpt2Config config, int sequences, int capacity, int elementSize)
    {
        (this.sequences, heads) = (sequences, config.HeadCount);
        size = config.HiddenSize / heads * elementSize / sizeof(int);
        // Keys and values of every layer.
        tensors = [.. Enumerable.Range(0, 2 * config.LayerCount).Select(_ => zeros([sequences, heads, capacity, size], int32).DetachFromDisposeScope())];
    }

    /// <summary>Reads the first columns of every head.</summary>
    public void Run(int columns)
    {
        foreach (var tensor in tensors)
        {
            var memory = new HeadMemory<int>(tensor);
            ThreadTeam.Run(sequences * heads, unit =>
                Interlocked.Add(ref sum, TensorPrimitives.Sum(new ReadOnlySpan<int>(memory[unit / heads, unit % heads], columns * size))));
        }
    }

    public void Dispose()
    {
        foreach (var tensor in tensors)
            tensor.Dispose();
    }
}
