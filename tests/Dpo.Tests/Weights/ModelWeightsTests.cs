using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class ModelWeightsTests : IDisposable
{
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";

    private readonly TemporaryFolder folder = new();
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void The_sharded_fixture_fills_every_parameter()
    {
        using var weights = ModelWeights.Open(Fixture.Path("models", "gpt2_sharded"));
        Assert.Equal(28, weights.Names.Count());
        var embedding = zeros(384, 32, requires_grad: true);
        var norm = zeros(32);
        var wide = zeros(32, 96);
        weights.LoadInto(
            [
                ("transformer.wte.weight", embedding),
                ("transformer.ln_f.weight", norm),
                ("transformer.h.0.attn.c_attn.weight", wide),
            ],
            ignored: _ => true);
        // Read from the shards with python's struct module.
        Assert.Equal([0.17402052879333496f, 0.0348738431930542f, 0.2868824601173401f], Floats(embedding.detach()));
        Assert.Equal([0.6303918361663818f, 1.1319282054901123f, 1.0168659687042236f], Floats(norm));
        Assert.Equal([0.2764316201210022f, -0.3104434907436371f, -0.1635180413722992f], Floats(wide));
    }

    [Fact]
    public void What_is_saved_is_loaded()
    {
        var made = System.IO.Path.Combine(folder.Path, "new", "model");
        ModelWeights.Save(made, [("a", tensor(new[] { 1f, 2f, 3f })), ("b", ones(2))]);
        var a = zeros(3);
        using var weights = ModelWeights.Open(made);
        Assert.Equal(["a", "b"], weights.Names);
        weights.LoadInto([("a", a)], ignored: name => name == "b");
        Assert.Equal([1f, 2f, 3f], Floats(a));
    }

    [Fact]
    public void Missing_tensors_are_listed_up_to_five()
    {
        ModelWeights.Save(folder.Path, [("a", ones(1))]);
        using var weights = ModelWeights.Open(folder.Path);
        var source = folder.File("model.safetensors");
        Assert.Equal(
            $"{source} lacks what the model needs: \"b\".",
            Refusal(() => weights.LoadInto([("a", ones(1)), ("b", ones(1))], null)));
        Assert.Equal(
            $"{source} lacks what the model needs: \"p1\", \"p2\", \"p3\", \"p4\", \"p5\" and 2 more.",
            Refusal(() => weights.LoadInto([.. Enumerable.Range(1, 7).Select(i => ($"p{i}", ones(1)))], null)));
    }

    [Fact]
    public void Extra_tensors_are_listed_with_their_file_unless_ignored()
    {
        Shards("""{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}""");
        using var weights = ModelWeights.Open(folder.Path);
        var a = zeros(1);
        Assert.Equal(
            $"{folder.File("model.safetensors.index.json")} holds what the model does not have: \"b\" (in {Second}).",
            Refusal(() => weights.LoadInto([("a", a)], name => name == "a")));
        Assert.Equal(0f, a.item<float>());
        weights.LoadInto([("a", a)], name => name == "b");
        Assert.Equal(1f, a.item<float>());
    }

    [Fact]
    public void A_tensor_of_another_shape_is_named_with_its_file()
    {
        Shards("""{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}""");
        using var weights = ModelWeights.Open(folder.Path);
        Assert.Equal(
            $"{folder.File(Second)}: tensor \"b\" has the shape [1], but the shape [3] is needed.",
            Refusal(() => weights.LoadInto([("a", zeros(1)), ("b", zeros(3))], null)));
    }

    [Theory]
    [InlineData("""{"a":"FIRST","b":"third"}""", "INDEX names third, which the folder lacks.")]
    [InlineData(
        """{"a":"FIRST","b":"FIRST"}""",
        "DIR/FIRST has no tensor \"b\", though model.safetensors.index.json places it there.")]
    [InlineData(
        """{"a":"SECOND","b":"FIRST"}""",
        "DIR/SECOND has no tensor \"a\", though model.safetensors.index.json places it there.")]
    [InlineData("""{"a":"../FIRST"}""", "INDEX: tensor \"a\" must name a file in the same folder.")]
    [InlineData("""{"a":".."}""", "INDEX: tensor \"a\" must name a file in the same folder.")]
    [InlineData("""{"a":1}""", "INDEX: tensor \"a\" must name a file in the same folder.")]
    [InlineData("""{"a":"x","a":"y"}""", "INDEX names a field twice: Duplicate property 'a' encountered during deserialization.")]
    [InlineData("[]", "INDEX: `weight_map` must be an object of tensor names and file names.")]
    [InlineData("{", "INDEX is not valid JSON (line 1, byte 19).")]
    public void An_index_that_does_not_agree_with_its_shards_is_refused(string map, string message)
    {
        Shards(Named(map));
        Assert.Equal(Named(message), Refusal(() => ModelWeights.Open(folder.Path)));

        string Named(string text) => text.Replace("INDEX", folder.File("model.safetensors.index.json"), StringComparison.Ordinal)
            .Replace("DIR/", folder.Path + Path.DirectorySeparatorChar, StringComparison.Ordinal)
            .Replace("FIRST", First, StringComparison.Ordinal)
            .Replace("SECOND", Second, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_in_two_shards_is_refused()
    {
        Shards("""{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}""");
        SafetensorsWriter.Write(folder.File(Second), [("b", ones(1)), ("a", ones(1))]);
        Assert.Equal(
            $"Tensor \"a\" is both in {folder.File(First)} and in {folder.File(Second)}.",
            Refusal(() => ModelWeights.Open(folder.Path)));
    }

    [Fact]
    public void A_folder_without_weights_says_what_is_needed()
    {
        Assert.Equal(
            $"The model folder {folder.File("none")} does not exist.", Refusal(() => ModelWeights.Open(folder.File("none"))));
        Assert.Equal(
            $"{folder.Path} has no weights: none of model.safetensors, model.safetensors.index.json, pytorch_model.bin, " +
            "pytorch_model.bin.index.json.",
            Refusal(() => ModelWeights.Open(folder.Path)));
    }

    [Fact]
    public void Safetensors_are_taken_before_pytorch_files_and_one_file_before_shards()
    {
        folder.Write("pytorch_model.bin.index.json", """{"weight_map": {"c": "c.bin"}}""");
        folder.Write("c.bin", TorchFile.StateDict([("c", ones(1))]));
        Assert.Equal(["c"], Names());
        folder.Write("pytorch_model.bin", TorchFile.StateDict([("b", ones(1))]));
        Assert.Equal(["b"], Names());
        Shards("""{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}""");
        Assert.Equal(["a", "b"], Names());
        ModelWeights.Save(folder.Path, [("s", ones(1))]);
        Assert.Equal(["s"], Names());

        string[] Names()
        {
            using var weights = ModelWeights.Open(folder.Path);
            return [.. weights.Names];
        }
    }

    [Theory]
    [InlineData(false, ScalarType.Float32)]
    [InlineData(true, ScalarType.Float32)]
    [InlineData(false, ScalarType.Float16)]
    public void A_model_of_pytorch_files_is_loaded_as_the_one_of_safetensors(bool sharded, ScalarType type)
    {
        using var expected = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        File.Copy(Fixture.Path("models", "gpt2", "config.json"), folder.File("config.json"));
        var tensors = expected.named_parameters().Select(item => (item.name, (Tensor)item.parameter.detach().to(type))).ToList();
        if (sharded)
        {
            folder.Write("pytorch_model-1.bin", TorchFile.StateDict(tensors[..5]));
            folder.Write("pytorch_model-2.bin", TorchFile.StateDict(tensors[5..]));
            folder.Write("pytorch_model.bin.index.json", JsonSerializer.Serialize(new
            {
                weight_map = tensors.Select((item, index) => (item.name, File: index < 5 ? "pytorch_model-1.bin" : "pytorch_model-2.bin"))
                    .ToDictionary(item => item.name, item => item.File),
            }));
        }
        else
        {
            folder.Write("pytorch_model.bin", TorchFile.StateDict(tensors));
        }
        using var loaded = CausalLanguageModel.Load(folder.Path);
        foreach (var ((name, tensor), (_, parameter)) in tensors.Zip(loaded.named_parameters()))
            Assert.True(tensor.to(ScalarType.Float32).eq(parameter).all().item<bool>(), name);
    }

    private void Shards(string map)
    {
        SafetensorsWriter.Write(folder.File(First), [("a", ones(1))]);
        SafetensorsWriter.Write(folder.File(Second), [("b", ones(1))]);
        File.WriteAllText(folder.File("model.safetensors.index.json"), $$"""{"weight_map": {{map}} }""");
    }

    private static string Refusal(Action action) => Assert.Throws<InvalidInputException>(action).Message;

    private static float[] Floats(Tensor tensor) => tensor.data<float>().ToArray()[..3];
}
