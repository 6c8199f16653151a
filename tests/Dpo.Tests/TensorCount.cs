using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>How many tensors are alive, which is counted for the whole process: one more reason to run tests one by one.</summary>
internal static class TensorCount
{
    /// <summary>Asserts that as many tensors are alive after the action as before it.</summary>
    public static void AssertFlat(Action action)
    {
        // Tensors that earlier tests dropped must not be finalized in between.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        action();
        Assert.Equal(before, Tensor.TotalCount);
    }
}
