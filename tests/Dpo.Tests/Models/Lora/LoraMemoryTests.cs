using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>A base in bf16, and what is alive.</summary>
public class LoraMemoryTests
{
    public static TheoryData<string> Families => LoraModels.Families;

    [Theory]
    [MemberData(nameof(Families))]
    public void A_base_in_bf16_computes_with_the_rounded_weights(string family)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = LoraModels.LoadAdapted(family, LoraModels.Options with { BaseInBFloat16 = true });
        using var rounded = LoraModels.LoadAdapted(family);
        foreach (var ((name, stored), (_, exact)) in model.named_parameters().Zip(rounded.named_parameters()))
        {
            var matrix = exact.dim() >= 2 && !LoraModels.IsAdapter(name);
            Assert.Equal(matrix ? ScalarType.BFloat16 : ScalarType.Float32, stored.dtype);
            using var noGrad = no_grad();
            exact.copy_(exact.to(stored.dtype));
        }
        foreach (var precision in Enum.GetValues<Precision>())
        {
            model.Precision = rounded.Precision = precision;
            Assert.Equal(LoraModels.LogProbs(rounded), LoraModels.LogProbs(model));
            var expected = LoraModels.Gradients(rounded);
            var actual = LoraModels.Gradients(model);
            Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
            foreach (var (name, gradient) in expected)
                LoraModels.AssertRelative(gradient, actual[name], precision == Precision.Float32 ? 1e-5 : 0.02, name);
            model.CheckpointActivations = true;
            Assert.Equal(actual, LoraModels.Gradients(model));
            model.CheckpointActivations = false;
        }
        model.Precision = Precision.Float32;
        model.Save(folder.Path);
        using var loaded = CausalLanguageModel.Load(folder.Path);
        Numbers.AssertClose(LoraModels.LogProbs(model), LoraModels.LogProbs(loaded), 1e-5);
        model.MergeAdapter();
        Assert.Equal(LoraModels.LogProbs(model), LoraModels.LogProbs(loaded));
    }

    /// <summary>Whoever wants biases trained as well unfreezes them.</summary>
    [Fact]
    public void A_bias_beside_a_frozen_weight_in_bf16_can_be_trained()
    {
        using var model = LoraModels.LoadAdapted("gpt2", LoraModels.Options with { BaseInBFloat16 = true });
        const string Name = "transformer.h.1.mlp.c_fc.bias";
        model.named_parameters().Single(named => named.name == Name).parameter.requires_grad = true;
        Assert.Contains(LoraModels.Gradients(model)[Name], value => value != 0);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Nothing_is_left_behind(string family)
    {
        using var folder = new TemporaryFolder();
        using var model = LoraModels.LoadAdapted(family, LoraModels.Options with { BaseInBFloat16 = true, Dropout = 0.2 });
        _ = LoraModels.Gradients(model); // makes the gradients, which stay
        TensorCount.AssertFlat(() => _ = LoraModels.Gradients(model));
        model.CheckpointActivations = true;
        TensorCount.AssertFlat(() => _ = LoraModels.Gradients(model));
        TensorCount.AssertFlat(() =>
        {
            model.MergeAdapter();
            _ = LoraModels.LogProbs(model);
            model.UnmergeAdapter();
            model.Save(folder.Path);
            model.SaveAdapter(folder.Path);
        });

        using var other = LoraModels.Load(family);
        File.WriteAllText(folder.File("adapter_model.safetensors"), "");
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        Assert.Throws<InvalidInputException>(() => other.LoadAdapter(folder.Path));
        Assert.Equal(before, Tensor.TotalCount);
    }

    /// <summary>Models are made and given adapters inside of dispose scopes, and used outside.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_adapter_outlives_the_dispose_scope_it_was_made_in(bool bf16)
    {
        using var model = LoraModels.Load("gpt2");
        using (NewDisposeScope())
            model.AddLora(LoraModels.Options with { BaseInBFloat16 = bf16 });
        Assert.NotEmpty(LoraModels.Gradients(model));
        using (NewDisposeScope())
            model.MergeAdapter();
        Assert.NotEmpty(LoraModels.LogProbs(model));
    }
}
