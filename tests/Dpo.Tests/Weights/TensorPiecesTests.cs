using static TorchSharp.torch;

namespace Dpo.Tests;

public class TensorPiecesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(100)]
    public void Tensors_are_walked_side_by_side_in_order(int maximumElements)
    {
        using var scope = NewDisposeScope();
        var values = arange(24, float32).view(2, 3, 4);
        var doubled = (2 * values).permute(2, 1, 0).contiguous().permute(2, 1, 0);
        var seen = new List<double>();
        TensorPieces.ForEach([values, doubled], maximumElements, pieces =>
        {
            Assert.InRange(pieces[0].numel(), 1, maximumElements);
            Assert.Equal((2 * pieces[0]).flatten().ToDoubles(), pieces[1].flatten().ToDoubles());
            seen.AddRange(pieces[0].flatten().ToDoubles());
        });
        Assert.Equal(Enumerable.Range(0, 24).Select(value => (double)value), seen);
    }
}
