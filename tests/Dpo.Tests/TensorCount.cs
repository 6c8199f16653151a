using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>
/// Tests of this collection run alone, since <see cref="Tensor.TotalCount"/> counts the tensors of the whole process.
/// </summary>
[CollectionDefinition(nameof(TensorCount), DisableParallelization = true)]
public sealed class TensorCount
{
    /// <summary>Asserts that as many tensors are alive after the action as before it.</summary>
    internal static void AssertFlat(Action action)
    {
        // Tensors that earlier tests dropped must not be finalized in between.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        action();
        Assert.Equal(before, Tensor.TotalCount);
    }
}
