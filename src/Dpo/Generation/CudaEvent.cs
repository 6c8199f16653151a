using System.Runtime.InteropServices;

namespace Dpo.Generation;

/// <summary>A mark in the work of a GPU, which TorchSharp has no binding for: behind all that the GPU was given before
/// it.</summary>
/// <remarks>The driver's own functions, which are wherever CUDA is. LibTorch works in each GPU's primary context, on its legacy
/// default stream, which is stream 0 here too.</remarks>
internal sealed unsafe class CudaEvent : IDisposable
{
    private const uint WithoutTiming = 2;

    private static readonly Lazy<nint> driver = new(
        () => NativeLibrary.Load(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1"));

    private readonly int gpu;
    private nint handle;

    /// <summary>Sets the mark.</summary>
    /// <param name="gpu">The GPU's number.</param>
    public CudaEvent(int gpu)
    {
        this.gpu = gpu;
        Within(() =>
        {
            nint created;
            Require(((delegate* unmanaged<nint*, uint, int>)Function("cuEventCreate"))(&created, WithoutTiming));
            handle = created;
            Require(((delegate* unmanaged<nint, nint, int>)Function("cuEventRecord"))(handle, 0));
        });
    }

    /// <summary>Returns when the GPU has come to the mark.</summary>
    public void Wait() => Within(() => Require(((delegate* unmanaged<nint, int>)Function("cuEventSynchronize"))(handle)));

    public void Dispose()
    {
        if (handle != 0)
            Within(() => Require(((delegate* unmanaged<nint, int>)Function("cuEventDestroy_v2"))(handle)));
        handle = 0;
    }

    /// <summary>Does something in the context of the GPU, whichever this thread is in.</summary>
    private void Within(Action action)
    {
        int device;
        Require(((delegate* unmanaged<int*, int, int>)Function("cuDeviceGet"))(&device, Math.Max(0, gpu)));
        nint context;
        Require(((delegate* unmanaged<nint*, int, int>)Function("cuDevicePrimaryCtxRetain"))(&context, device));
        Require(((delegate* unmanaged<nint, int>)Function("cuCtxPushCurrent_v2"))(context));
        try
        {
            action();
        }
        finally
        {
            Require(((delegate* unmanaged<nint*, int>)Function("cuCtxPopCurrent_v2"))(&context));
            Require(((delegate* unmanaged<int, int>)Function("cuDevicePrimaryCtxRelease_v2"))(device));
        }
    }

    private static nint Function(string name) => NativeLibrary.GetExport(driver.Value, name);

    private static void Require(int result)
    {
        if (result != 0)
            throw new InvalidOperationException($"CUDA's driver has reported the error {result}.");
    }
}
