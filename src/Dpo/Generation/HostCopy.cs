using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>A copy of a tensor's numbers to the host, which a GPU makes while the host goes on.</summary>
internal sealed class HostCopy : IDisposable
{
    private readonly Tensor onHost;
    private readonly CudaEvent? done;

    /// <summary>Begins to copy; the copy is of the current dispose scope.</summary>
    /// <param name="values">fp64.</param>
    public HostCopy(Tensor values)
    {
        var isCuda = values.device_type == TorchSharp.DeviceType.CUDA;
        // From a GPU this goes into pinned memory.
        onHost = values.to(CPU, copy: true, non_blocking: isCuda);
        done = isCuda ? new CudaEvent(values.device_index) : null;
    }

    /// <summary>Waits for the copy, and for nothing that the GPU was given after it.</summary>
    public double[] Read()
    {
        done?.Wait();
        return [.. onHost.data<double>()];
    }

    public void Dispose()
    {
        done?.Dispose();
        onHost.Dispose();
    }
}
