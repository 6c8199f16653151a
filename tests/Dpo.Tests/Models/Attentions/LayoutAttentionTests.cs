using static TorchSharp.torch;

namespace Dpo.Tests;

public class LayoutAttentionTests
{
    [Fact]
    public void It_is_made_once_for_the_models_that_run_over_a_layout_and_anew_where_it_was_disposed()
    {
        using var model = new Gpt2(TrainerTests.Shape);
        var layout = new SequenceLayout([new(3, [2, 4])]);
        Attention first;
        using (NewDisposeScope())
        {
            first = model.AttentionOver(layout, CPU);
            using (NewDisposeScope())
                Assert.Same(first, model.AttentionOver(layout, CPU));
            Assert.False(first.Positions.IsInvalid);
            Assert.NotSame(first, model.AttentionOver(new SequenceLayout(layout.Examples), CPU));
            model.Precision = Precision.BFloat16;
            Assert.NotSame(first, model.AttentionOver(layout, CPU));
            model.Precision = Precision.Float32;
        }
        using var scope = NewDisposeScope();
        var again = model.AttentionOver(layout, CPU);
        Assert.NotSame(first, again);
        Assert.False(again.Positions.IsInvalid);
        using var asOnDevice = DeviceStrategies.OnCpu();
        Assert.IsType<BucketedAttention>(model.AttentionOver(layout, CPU));
    }
}
