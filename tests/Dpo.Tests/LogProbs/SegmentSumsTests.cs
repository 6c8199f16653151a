using static TorchSharp.torch;

namespace Dpo.Tests;

public class SegmentSumsTests
{
    /// <summary>A device that is neither a CPU nor CUDA's has not the operation: <c>meta</c>, whose tensors have shapes alone, stands for it.</summary>
    [Fact]
    public void Another_device_sums_piece_by_piece_to_the_same()
    {
        using var scope = NewDisposeScope();
        long[] offsets = [0, 3, 4, 9];
        var values = tensor([0.1, -2, 3.3, 7, 1e-9, -0.4, 5, 2.5, -8]).requires_grad_();
        var weights = tensor([1.0, -3, 0.5]);
        double[][] Run(Tensor sums)
        {
            values.grad = null;
            (sums * weights).sum().backward();
            return [sums.ToDoubles(), values.grad!.ToDoubles()];
        }

        var (together, apart) = (Run(SegmentSums.Of(values, offsets)), Run(SegmentSums.OneByOne(values, offsets)));
        Numbers.AssertClose([1.4, 7, -0.899999999], together[0], 1e-12);
        Numbers.AssertClose([1, 1, 1, -3, 0.5, 0.5, 0.5, 0.5, 0.5], together[1], 1e-15);
        Numbers.AssertClose(together[0], apart[0], 1e-12);
        Numbers.AssertClose(together[1], apart[1], 1e-15);
        Assert.Equal([3], SegmentSums.Of(zeros(9, device: META), offsets).shape);
    }
}
