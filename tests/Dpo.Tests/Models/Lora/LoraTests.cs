using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class LoraTests
{
    public static TheoryData<string> Families => LoraModels.Families;

    [Theory]
    [MemberData(nameof(Families))]
    public void A_new_adapter_leaves_the_model_as_it_is_to_the_bit(string family)
    {
        using var scope = NewDisposeScope();
        using var model = LoraModels.Load(family);
        Assert.Null(model.Lora);
        foreach (var precision in Enum.GetValues<Precision>())
        {
            using var adapted = LoraModels.Load(family);
            adapted.AddLora(LoraModels.Options);
            model.Precision = adapted.Precision = precision;
            Assert.Equal(LoraModels.LogProbs(model), LoraModels.LogProbs(adapted));
            LoraModels.Disturb(adapted);
            Assert.NotEqual(LoraModels.LogProbs(model), LoraModels.LogProbs(adapted));
            Assert.Equal(LoraModels.Options, adapted.Lora);
        }
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Every_linear_layer_but_the_head_gets_a_trainable_pair_of_matrices_and_all_else_is_frozen(string family)
    {
        using var scope = NewDisposeScope();
        using var model = LoraModels.Load(family);
        var before = LoraModels.Values(model);
        var layers = LoraTargets.Candidates(model);
        model.AddLora(LoraModels.Options);
        var parameters = model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        Assert.NotEmpty(layers);
        Assert.Equal(before.Count + 2 * layers.Count, parameters.Count);
        foreach (var (name, layer) in layers)
        {
            var shape = layer.AsMatrix(layer.Weight).shape;
            Assert.Equal([4, shape[1]], parameters[$"{name}.lora_A.weight"].shape);
            Assert.Equal([shape[0], 4], parameters[$"{name}.lora_B.weight"].shape);
        }
        Assert.All(parameters, named => Assert.Equal(LoraModels.IsAdapter(named.Key), named.Value.requires_grad));
        Assert.All(before, named => Assert.Equal(named.Value, parameters[named.Key].detach().flatten().ToDoubles()));
    }

    [Fact]
    public void A_is_drawn_as_PEFT_does_from_the_seed_alone_and_B_is_zero()
    {
        using var scope = NewDisposeScope();
        Dictionary<string, double[]> Drawn(int seed)
        {
            using var model = new Gpt2(TrainerTests.Shape);
            model.AddLora(new LoraOptions { Rank = 64, Seed = seed });
            return LoraModels.Values(model).Where(named => LoraModels.IsAdapter(named.Key)).ToDictionary();
        }
        var first = Drawn(3);
        Assert.Equal(first, Drawn(3));

        var a = first["transformer.h.0.attn.c_attn.lora_A.weight"];
        Assert.NotEqual(a, Drawn(4)["transformer.h.0.attn.c_attn.lora_A.weight"]);
        Assert.NotEqual(a, first["transformer.h.1.attn.c_attn.lora_A.weight"]);
        // Uniform within ±1/√16, whose deviation is a √3th of that.
        Assert.InRange(a.Max(), 0.245, 0.25);
        Assert.InRange(a.Min(), -0.25, -0.245);
        Assert.InRange(Math.Sqrt(a.Average(value => value * value)), 0.25 / Math.Sqrt(3) - 0.01, 0.25 / Math.Sqrt(3) + 0.01);
        Assert.All(first.Where(named => named.Key.Contains("lora_B", StringComparison.Ordinal)), named => Assert.All(named.Value, value => Assert.Equal(0, value)));
    }

    /// <summary>With G the gradient of the merged weight: dA = scale · Bᵀ·G and dB = scale · G·Aᵀ.</summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void Gradients_follow_from_those_of_the_merged_weights_and_frozen_weights_have_none(string family)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = LoraModels.LoadAdapted(family, LoraModels.Options with { UseRsLora = true });
        model.Save(folder.Path);
        using var merged = CausalLanguageModel.Load(folder.Path);
        var full = LoraModels.Gradients(merged);
        var (values, actual) = (LoraModels.Values(model), LoraModels.Gradients(model));
        Assert.All(actual.Keys, name => Assert.True(LoraModels.IsAdapter(name), name));

        foreach (var (name, layer) in LoraTargets.Candidates(merged))
        {
            var gradient = layer.AsMatrix(tensor(full[$"{name}.weight"]).view(layer.Weight.shape));
            var (a, b) = (tensor(values[$"{name}.lora_A.weight"]).view(4, -1), tensor(values[$"{name}.lora_B.weight"]).view(-1, 4));
            const double Scale = 8 / 2.0; // α/√rank
            LoraModels.AssertRelative(b.t().mm(gradient).mul(Scale).ToDoubles(), actual[$"{name}.lora_A.weight"], 1e-4, name);
            LoraModels.AssertRelative(gradient.mm(a.t()).mul(Scale).ToDoubles(), actual[$"{name}.lora_B.weight"], 1e-4, name);
        }
        model.CheckpointActivations = true;
        Assert.Equal(actual, LoraModels.Gradients(model));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gradients_of_a_layer_equal_finite_differences(bool transposed)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        using Projection layer = transposed ? new Conv1D(6, 5) : new LinearLayer(6, 5, hasBias: true);
        layer.Attach(LoraLayer.Create(inputs: 6, outputs: 5, rank: 3, scale: 2, CPU, generator, dropout: null));
        layer.to(float64);
        using (no_grad())
        {
            foreach (var parameter in layer.parameters())
                parameter.normal_(0, 1, generator);
        }
        var (x, weights) = (randn([4, 6], float64, generator: generator), randn([4, 5], float64, generator: generator));
        Tensor Loss() => (layer.call(x).tanh() * weights).sum();
        Loss().backward();
        foreach (var (name, parameter) in layer.named_parameters())
        {
            using var noGrad = no_grad();
            var flat = parameter.view(-1);
            var expected = Enumerable.Range(0, (int)flat.shape[0]).Select(index =>
            {
                double After(double step)
                {
                    flat.narrow(0, index, 1).add_(step);
                    return Loss().item<double>();
                }
                var (above, below) = (After(1e-5), After(-2e-5));
                After(1e-5);
                return (above - below) / 2e-5;
            });
            Numbers.AssertClose([.. expected], parameter.grad!.ToDoubles(), 1e-7, name);
        }
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_merged_model_computes_the_same_and_unmerged_it_is_what_it_was_to_the_bit(string family)
    {
        using var scope = NewDisposeScope();
        using var model = LoraModels.LoadAdapted(family);
        var (before, values) = (LoraModels.LogProbs(model), LoraModels.Values(model));
        model.MergeAdapter();
        model.MergeAdapter();
        var merged = LoraModels.LogProbs(model);
        Numbers.AssertClose(before, merged, 1e-5);
        Assert.NotEqual(before, merged);
        Assert.DoesNotContain(model.parameters(), parameter => parameter.requires_grad);
        var exception = Assert.Throws<ArgumentException>(() => new SftTrainer(model));
        Assert.StartsWith(
            "The model has no parameter that requires a gradient, so there is nothing to train; a merged adapter is trained after UnmergeAdapter.",
            exception.Message, StringComparison.Ordinal);

        model.UnmergeAdapter();
        model.UnmergeAdapter();
        Assert.Equal(before, LoraModels.LogProbs(model));
        Assert.Equal(values, LoraModels.Values(model));
        Assert.All(model.named_parameters(), named => Assert.Equal(LoraModels.IsAdapter(named.name), named.parameter.requires_grad));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Save_writes_a_whole_model_with_the_adapter_added(string family)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = LoraModels.LoadAdapted(family);
        var (before, values) = (LoraModels.LogProbs(model), LoraModels.Values(model));
        model.Save(folder.Path);
        Assert.Equal(before, LoraModels.LogProbs(model));
        Assert.Equal(values, LoraModels.Values(model));
        var unmerged = File.ReadAllBytes(folder.File("model.safetensors"));
        model.MergeAdapter();
        model.Save(folder.Path);
        Assert.Equal(unmerged, File.ReadAllBytes(folder.File("model.safetensors")));

        using var loaded = CausalLanguageModel.Load(folder.Path);
        Assert.Equal(LoraModels.LogProbs(model), LoraModels.LogProbs(loaded));
        Numbers.AssertClose(before, LoraModels.LogProbs(loaded), 1e-5);
    }

    [Fact]
    public void One_adapter_at_a_time()
    {
        using var model = LoraModels.Load("gpt2");
        foreach (var action in (Action[])[model.MergeAdapter, model.UnmergeAdapter, () => model.SaveAdapter("nowhere")])
            Assert.Equal(
                "The model has no adapter; give it one with AddLora or LoadAdapter.",
                Assert.Throws<InvalidOperationException>(action).Message);
        model.AddLora();
        foreach (var action in (Action[])[() => model.AddLora(), () => model.LoadAdapter(Fixture.Path("adapters", "gpt2"))])
            Assert.Equal(
                "The model has an adapter already, and takes one at a time; to build on it, save the model, which adds it to the weights, and load that folder.",
                Assert.Throws<InvalidOperationException>(action).Message);
    }

    [Fact]
    public void Options_outside_their_ranges_are_refused_before_anything_is_frozen()
    {
        using var model = LoraModels.Load("gpt2");
        LoraOptions[] wrong =
        [
            new() { Rank = 0 }, new() { Alpha = 0 }, new() { Dropout = -0.1 }, new() { Dropout = 1 },
        ];
        Assert.All(wrong, options => Assert.Throws<ArgumentOutOfRangeException>(() => model.AddLora(options)));
        Assert.All(model.parameters(), parameter => Assert.True(parameter.requires_grad));
    }
}
