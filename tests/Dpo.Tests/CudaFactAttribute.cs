using TorchSharp;

namespace Dpo.Tests;

/// <summary>A test that needs an NVIDIA GPU, and is skipped where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class CudaFactAttribute : FactAttribute
{
    /// <summary>Why such tests are skipped; null where they run.</summary>
    public static string? Missing { get; } = torch.cuda.is_available() ? null : "There is no NVIDIA GPU, or LibTorch is the CPU's.";

    public CudaFactAttribute() => Skip = Missing;
}

/// <summary>As <see cref="CudaFactAttribute"/>, for a test of several cases.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class CudaTheoryAttribute : TheoryAttribute
{
    public CudaTheoryAttribute() => Skip = CudaFactAttribute.Missing;
}
