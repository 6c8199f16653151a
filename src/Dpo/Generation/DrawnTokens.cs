using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>A token for every place of a batch, where it was drawn, which the host may read later.</summary>
/// <param name="values">The ids, and their log-probabilities, <c>[2, S]</c>, fp64, which holds either exactly; its own.</param>
/// <param name="sequences">Whose they are, <c>[S]</c>: null where nobody waits for it.</param>
internal sealed class DrawnTokens(Tensor values, IEnumerable<SampledSequence?> sequences) : IDisposable
{
    private HostCopy? copy;

    /// <summary>The ids, and their log-probabilities, <c>[2, S]</c>, fp64.</summary>
    public Tensor Values => values;

    /// <summary>Whose they are, <c>[S]</c>: null where nobody waits for it.</summary>
    public SampledSequence?[] Sequences { get; } = [.. sequences];

    /// <summary>The ids on a device, <c>[S]</c>, int64, of the current dispose scope.</summary>
    public Tensor Ids(Device device) => values.select(0, 0).to(int64).to(device);

    /// <summary>Begins to copy them to the host, if nothing has.</summary>
    public void Send() => copy ??= new HostCopy(values);

    /// <summary>Reads the ids, and behind them the log-probabilities, <c>[2 · S]</c>; waits for them, but for nothing that the
    /// device was given after <see cref="Send"/>.</summary>
    public double[] Read()
    {
        Send();
        return copy!.Read();
    }

    public void Dispose()
    {
        copy?.Dispose();
        values.Dispose();
    }
}
