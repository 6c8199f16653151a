using static TorchSharp.torch;

namespace Dpo.Tests;

public class LoraDropoutTests
{
    private static readonly LoraOptions options = LoraModels.Options with { Dropout = 0.4 };

    public static TheoryData<string> Families => LoraModels.Families;

    [Theory]
    [MemberData(nameof(Families))]
    public void It_acts_in_training_mode_where_gradients_are_recorded_and_follows_from_the_seed(string family)
    {
        using var dropping = LoraModels.LoadAdapted(family, options);
        using var same = LoraModels.LoadAdapted(family, options);
        using var plain = LoraModels.LoadAdapted(family);
        Assert.True(dropping.training);
        Assert.False(plain.training);
        Assert.Equal(LoraModels.LogProbs(plain), LoraModels.LogProbs(dropping)); // no gradients
        var (first, second) = (LoraModels.Gradients(dropping), LoraModels.Gradients(dropping));
        Assert.NotEqual(LoraModels.Gradients(plain), first);
        Assert.NotEqual(first, second);
        manual_seed(9);
        Assert.Equal(first, LoraModels.Gradients(same));
        Assert.Equal(second, LoraModels.Gradients(same));
        dropping.eval();
        Assert.Equal(LoraModels.Gradients(plain), LoraModels.Gradients(dropping));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Activations_that_are_computed_anew_see_the_same_masks(string family)
    {
        using var kept = LoraModels.LoadAdapted(family, options);
        using var anew = LoraModels.LoadAdapted(family, options);
        anew.CheckpointActivations = true;
        for (var pass = 0; pass < 2; pass++)
            Assert.Equal(LoraModels.Gradients(kept), LoraModels.Gradients(anew));
        // Another pass between forward and backward draws masks of its own.
        using var scope = NewDisposeScope();
        Dictionary<string, double[]> Interleaved(TransformerModel model)
        {
            model.zero_grad();
            var first = CompletionLogProbs.Compute(model, LoraModels.Batch.To(CPU)).Sums.sum();
            var second = CompletionLogProbs.Compute(model, LoraModels.Batch.To(CPU)).Sums.sum();
            (first + 2 * second).backward();
            return model.named_parameters().Where(named => named.parameter.grad is not null)
                .ToDictionary(named => named.name, named => named.parameter.grad!.ToDoubles());
        }
        var (expected, actual) = (Interleaved(kept), Interleaved(anew));
        foreach (var (name, gradient) in expected)
            LoraModels.AssertRelative(gradient, actual[name], 1e-5, name);
    }

    [Fact]
    public void A_mask_zeroes_the_rate_and_keeps_the_mean()
    {
        using var scope = NewDisposeScope();
        var dropped = new LoraDropout(0.25, seed: 1).Apply(ones(400, 500));
        var values = dropped.ToDoubles();
        Assert.Equal([0, 4 / 3.0], values.Distinct().Order().Select(value => Math.Round(value, 6) == 1.333333 ? 4 / 3.0 : value));
        Assert.InRange(values.Count(value => value == 0) / 200_000.0, 0.245, 0.255);
    }
}
