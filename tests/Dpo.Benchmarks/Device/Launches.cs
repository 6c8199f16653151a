using System.Runtime.InteropServices;

namespace Dpo.Benchmarks;

/// <summary>Counts of what LibTorch asked of the CUDA runtime, where <c>launches.c</c> is preloaded (<c>run.sh</c> of the packed program does
/// so where there is a compiler). The matrix products of cuBLAS, which has a runtime of its own, are not among them.</summary>
internal static unsafe class Launches
{
    private static readonly delegate* unmanaged<int, long> Count = Find();

    /// <summary>Whether they are counted.</summary>
    public static bool AreCounted => Count is not null;

    /// <summary>Kernels that were launched so far.</summary>
    public static long Kernels => Count is null ? 0 : Count(0);

    /// <summary>How often one waited for the device so far.</summary>
    public static long Waits => Count is null ? 0 : Count(1);

    private static delegate* unmanaged<int, long> Find() => OperatingSystem.IsLinux()
        && NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), "dpo_count", out var found) ? (delegate* unmanaged<int, long>)found : null;
}
