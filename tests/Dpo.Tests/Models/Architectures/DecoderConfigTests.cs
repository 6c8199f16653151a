using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What the decoders read of a <c>config.json</c>, and what they refuse.</summary>
public class DecoderConfigTests
{
    [Theory]
    [InlineData("llama", "hidden_act", "\"gelu\"", "is \"gelu\"; Dpo implements silu for llama.")]
    [InlineData("llama", "pretraining_tp", "2", "is 2; Dpo implements 1 for llama.")]
    [InlineData("llama", "num_key_value_heads", "3", "is 3; it must be a divisor of num_attention_heads, 4.")]
    [InlineData("llama", "rms_norm_eps", null, "is missing; it must be a finite number of at least 0.")]
    [InlineData("mistral", "hidden_act", "\"relu\"", "is \"relu\"; Dpo implements silu for mistral.")]
    [InlineData("mistral", "sliding_window", "0", "is 0; it must be a whole number from 1 to 16777216.")]
    [InlineData("mistral", "sliding_window", null, "is missing; it must be a whole number, or null for none.")]
    [InlineData("qwen2", "layer_types", "[\"full_attention\"]",
        "is [\"full_attention\"]; Dpo implements a list of num_hidden_layers, 2, times full_attention or sliding_attention.")]
    [InlineData("qwen2", "layer_types", "[\"full_attention\",\"linear\"]",
        "is [\"full_attention\",\"linear\"]; Dpo implements a list of num_hidden_layers, 2, times full_attention or sliding_attention.")]
    [InlineData("qwen2", "layer_types", "[\"sliding_attention\",1]", "is [\"sliding_attention\",1]; it must be a list of strings.")]
    [InlineData("qwen3", "layer_types", "[\"sliding_attention\",\"full_attention\"]",
        "is [\"sliding_attention\",\"full_attention\"]; it asks for sliding_attention, but other fields say that no sliding window is in use.")]
    [InlineData("qwen3", "hidden_act", "\"relu\"", "is \"relu\"; Dpo implements silu for qwen3.")]
    [InlineData("gemma2", "hidden_activation", "\"gelu\"", "is \"gelu\"; Dpo implements gelu_pytorch_tanh for gemma2.")]
    [InlineData("gemma2", "use_bidirectional_attention", "true", "is true; Dpo implements false for gemma2.")]
    [InlineData("gemma2", "attn_logit_softcapping", null, "is missing; it must be a finite number of at least 0.")]
    [InlineData("gemma2", "final_logit_softcapping", "0", "is 0; it must be above 0.")]
    [InlineData("gemma2", "query_pre_attn_scalar", "0.0", "is 0.0; it must be above 0.")]
    [InlineData("phi3", "hidden_act", "\"gelu\"", "is \"gelu\"; Dpo implements silu for phi3.")]
    public void What_is_not_implemented_is_refused_by_field_and_value(string architecture, string field, string? value, string message)
    {
        using var folder = Edited(architecture, fields =>
        {
            fields.Remove(field);
            if (value is not null)
                fields[field] = JsonNode.Parse(value);
        });
        var exception = Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path));
        Assert.Equal($"{folder.File("config.json")}: `{field}` {message}", exception.Message);
    }

    [Fact]
    public void Phi3s_long_rope_is_refused()
    {
        using var folder = Edited("phi3", fields => fields["rope_parameters"]!["rope_type"] = "longrope");
        Assert.Equal(
            $"{folder.File("config.json")}: `rope_parameters.rope_type` is \"longrope\"; Dpo implements default, linear and llama3 for phi3.",
            Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path)).Message);
    }

    [Fact]
    public void A_head_size_that_does_not_divide_is_refused()
    {
        using var folder = Edited("qwen2", fields => fields["hidden_size"] = 30);
        Assert.Equal(
            $"{folder.File("config.json")}: `hidden_size` is 30; it must be a multiple of num_attention_heads, 4.",
            Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path)).Message);
    }

    [Fact]
    public void Gemma2_without_soft_caps_has_none()
    {
        using var scope = NewDisposeScope();
        using var folder = Edited("gemma2", fields => fields["attn_logit_softcapping"] = fields["final_logit_softcapping"] = null);
        using var model = CausalLanguageModel.Load(folder.Path);
        Assert.Null(model.Head.SoftCap);
    }

    /// <summary>Windows by layer, in the order of the rule, in files that do not list the layers.</summary>
    [Theory]
    [InlineData("mistral", """{"sliding_window": 5}""", "5 5 5 5")]
    [InlineData("mistral", """{"sliding_window": null}""", "- - - -")]
    [InlineData("phi3", """{"sliding_window": 5}""", "5 5 5 5")]
    [InlineData("gemma2", """{"sliding_window": 5}""", "5 - 5 -")]
    [InlineData("gemma2", """{"sliding_window": 5, "layer_types": ["full_attention", "full_attention", "sliding_attention", "full_attention"]}""", "- - 5 -")]
    [InlineData("qwen2", """{"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 3}""", "- - - 5")]
    [InlineData("qwen2", """{"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 28}""", "- - - -")]
    [InlineData("qwen2", """{"use_sliding_window": false, "sliding_window": 5, "max_window_layers": 0}""", "- - - -")]
    [InlineData("qwen2", """{"use_sliding_window": true, "sliding_window": null, "max_window_layers": 0}""", "- - - -")]
    public void Every_layer_has_the_window_its_architecture_says(string architecture, string json, string windows)
    {
        var fields = JsonNode.Parse(json)!.AsObject();
        fields["num_hidden_layers"] = 4;
        var config = new ModelConfig(fields);
        var actual = architecture switch
        {
            "gemma2" => SlidingWindows.OfEveryOther(config),
            "qwen2" => SlidingWindows.OfUpper(config),
            _ => SlidingWindows.OfAll(config),
        };
        Assert.Equal(windows, string.Join(' ', actual.Select(window => window?.ToString() ?? "-")));
    }

    private static TemporaryFolder Edited(string architecture, Action<JsonObject> edit)
    {
        var fields = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", architecture, "config.json")))!.AsObject();
        edit(fields);
        var folder = new TemporaryFolder();
        folder.Write("config.json", fields.ToJsonString());
        File.Copy(Fixture.Path("models", architecture, "model.safetensors"), folder.File("model.safetensors"));
        return folder;
    }
}
