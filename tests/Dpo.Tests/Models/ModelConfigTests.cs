using System.Text.Json.Nodes;

namespace Dpo.Tests;

public sealed class ModelConfigTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_fixtures_fields_are_read_with_their_types()
    {
        var config = ModelConfig.Read(Fixture.Path("models", "gpt2"));
        Assert.Equal("gpt2", config.ModelType);
        Assert.Equal(64, config.Int("n_inner"));
        Assert.Equal(0, config.Int("eos_token_id", minimum: 0));
        Assert.Equal(1e-5, config.Double("layer_norm_epsilon"));
        Assert.True(config.Bool("scale_attn_weights"));
        Assert.Equal("gelu_new", config.OneOf("activation_function", "gelu_new", "gelu_new", "gelu"));
        config.Require("add_cross_attention", false);
        config.Require("not_there", true);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("config_v4.json")]
    public void Saving_gives_back_the_file_that_was_read(string name)
    {
        var original = Fixture.Path("models", "gpt2", name);
        File.Copy(original, folder.File("config.json"));
        var made = System.IO.Path.Combine(folder.Path, "new", "model");
        ModelConfig.Read(folder.Path).Write(made);
        Assert.Equal(File.ReadAllText(original).TrimEnd() + "\n", File.ReadAllText(System.IO.Path.Combine(made, "config.json")));
        Assert.Single(Directory.GetFiles(made));
    }

    [Fact]
    public void Saving_states_fp32_where_the_type_of_the_weights_is_stated()
    {
        new ModelConfig(new JsonObject { ["dtype"] = "bfloat16", ["torch_dtype"] = "float16", ["ä"] = new JsonArray(1, null) })
            .Write(folder.Path);
        Assert.Equal(
            "{\n  \"dtype\": \"float32\",\n  \"torch_dtype\": \"float32\",\n  \"ä\": [\n    1,\n    null\n  ]\n}\n",
            File.ReadAllText(folder.File("config.json")));
    }

    [Fact]
    public void An_absent_or_null_field_takes_the_fallback_or_is_missed()
    {
        var config = new ModelConfig(new JsonObject { ["n_inner"] = null, ["n_embd"] = 32 });
        Assert.Equal(128, config.Int("n_inner", 4 * config.Int("n_embd")));
        Assert.Equal(0.5, config.Double("x", 0.5));
        Assert.False(config.Bool("x", false));
        Assert.Equal("gelu", config.String("x", "gelu"));
        Assert.Equal(
            "config.json: `n_inner` is missing; it must be a whole number from 1 to 16777216.",
            Refusal(() => config.Int("n_inner")));
        Assert.Equal("config.json: `x` is missing; it must be a finite number of at least 0.", Refusal(() => config.Double("x")));
        Assert.Equal("config.json: `x` is missing; it must be true or false.", Refusal(() => config.Bool("x")));
        Assert.Equal("config.json: `model_type` is missing; it must be a string.", Refusal(() => config.ModelType));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("1.5")]
    [InlineData("2147483648")]
    [InlineData("\"4\"")]
    [InlineData("[1,2]")]
    [InlineData("true")]
    public void A_field_that_is_no_count_is_refused_even_with_a_fallback(string json)
    {
        var path = Write($$"""{"n_head": {{json}} }""");
        var config = ModelConfig.Read(folder.Path);
        Assert.Equal(
            $"{path}: `n_head` is {json}; it must be a whole number from 1 to 16777216.",
            Refusal(() => config.Int("n_head", 3)));
    }

    [Fact]
    public void Other_wrong_values_are_quoted()
    {
        var path = Write($$"""{"a": -1e-5, "b": 1, "c": {"d": "{{new string('x', 50)}}"}, "e": 1e999}""");
        var config = ModelConfig.Read(folder.Path);
        Assert.Equal($"{path}: `a` is -1e-5; it must be a finite number of at least 0.", Refusal(() => config.Double("a")));
        Assert.Equal($"{path}: `e` is 1e999; it must be a finite number of at least 0.", Refusal(() => config.Double("e")));
        Assert.Equal($"{path}: `b` is 1; it must be true or false.", Refusal(() => config.Bool("b")));
        Assert.Equal($"{path}: `c` is {{\"d\":\"{new string('x', 34)}…; it must be a string.", Refusal(() => config.String("c")));
    }

    [Fact]
    public void What_is_not_implemented_is_refused_by_name()
    {
        var path = Write("""{"model_type": "gpt2", "activation_function": "relu", "add_cross_attention": true, "scale": 1}""");
        var config = ModelConfig.Read(folder.Path);
        Assert.Equal(
            $"{path}: `activation_function` is \"relu\"; Dpo implements gelu_new and gelu for gpt2.",
            Refusal(() => config.OneOf("activation_function", "gelu_new", "gelu_new", "gelu")));
        Assert.Equal(
            $"{path}: `activation_function` is \"relu\"; Dpo implements silu for gpt2.",
            Refusal(() => config.OneOf("activation_function", null, "silu")));
        Assert.Equal(
            $"{path}: `add_cross_attention` is true; Dpo implements false for gpt2.",
            Refusal(() => config.Require("add_cross_attention", false)));
        Assert.Equal($"{path}: `scale` is 1; it must be true or false.", Refusal(() => config.Require("scale", true)));
    }

    [Theory]
    [InlineData("[1]", " is not a JSON object.")]
    [InlineData("{\n \"a\": tru }", " is not valid JSON (line 2, byte 10).")]
    [InlineData("""{"a": {"b": 1, "b": 2}}""", " names a field twice: Duplicate property 'b' encountered during deserialization.")]
    public void A_file_that_is_no_configuration_is_refused(string json, string message)
    {
        var path = Write(json);
        Assert.Equal(path + message, Refusal(() => ModelConfig.Read(folder.Path)));
    }

    [Fact]
    public void A_missing_file_is_named() => Assert.StartsWith(
        $"{folder.File("config.json")} cannot be read: ", Refusal(() => ModelConfig.Read(folder.Path)), StringComparison.Ordinal);

    private string Write(string json)
    {
        File.WriteAllText(folder.File("config.json"), json);
        return folder.File("config.json");
    }

    private static string Refusal(Func<object> read) => Assert.Throws<InvalidInputException>(read).Message;

    private static string Refusal(Action check) => Assert.Throws<InvalidInputException>(check).Message;
}
