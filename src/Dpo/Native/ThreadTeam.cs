using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>Shares work out among LibTorch's threads, as many as <see cref="get_num_threads"/> says.</summary>
/// <remarks>
/// LibTorch's threads go on looking for work for some milliseconds after each of its products, and take the cores from any others
/// that would work between two. Where they are those of GNU's OpenMP, as on Linux, these very threads are given the work, by the
/// function that GCC makes of a parallel region. Elsewhere .NET's own do it.
/// </remarks>
internal static unsafe class ThreadTeam
{
    private static readonly delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<nint, void>, nint, uint, uint, void>
        parallelRegion = FindParallelRegion();

    /// <summary>Does all parts of a work, in no order, and returns when they are done, or have failed.</summary>
    /// <param name="parts">How many there are.</param>
    /// <param name="part">Does one. It disposes of any tensor it makes: dispose scopes are a thread's own.</param>
    /// <exception cref="AggregateException">Parts have failed.</exception>
    public static void Run(int parts, Action<int> part)
    {
        var work = new Work(parts, part);
        var threads = get_num_threads();
        if (parallelRegion == null)
        {
            Parallel.For(0, threads, _ => work.TakeParts());
        }
        else
        {
            var handle = GCHandle.Alloc(work);
            // Always as many threads as LibTorch asks for: the library ends those that are too many, and starts them anew later.
            parallelRegion(&TakeParts, GCHandle.ToIntPtr(handle), (uint)threads, 0);
            handle.Free();
        }
        if (!work.Failures.IsEmpty)
            throw new AggregateException(work.Failures);
    }

    /// <summary>The library that carries TorchSharp knows LibTorch's, and with it the one of its threads.</summary>
    private static delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<nint, void>, nint, uint, uint, void>
        FindParallelRegion() =>
        NativeLibrary.TryLoad("LibTorchSharp", typeof(Tensor).Assembly, null, out var library)
        && NativeLibrary.TryGetExport(library, "GOMP_parallel", out var function)
            ? (delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<nint, void>, nint, uint, uint, void>)function
            : null;

    /// <summary>What each thread of LibTorch's is given.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void TakeParts(nint work) => ((Work)GCHandle.FromIntPtr(work).Target!).TakeParts();

    private sealed class Work(int parts, Action<int> part)
    {
        private int taken;

        public ConcurrentStack<Exception> Failures { get; } = [];

        /// <summary>Does part after part until none is left. No exception may leave it, for below it is native code.</summary>
        public void TakeParts()
        {
            while (Interlocked.Increment(ref taken) is var number && number <= parts)
            {
                try
                {
                    part(number - 1);
                }
                catch (Exception e)
                {
                    Failures.Push(e);
                }
            }
        }
    }
}
