using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class GptNeoXTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>As the hub's Pythia is: the causal mask and the rotary frequencies in every block.</summary>
    [Fact]
    public void Stored_masks_and_frequencies_are_accepted()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Architectures.Load("gpt_neox");
        File.Copy(Fixture.Path("models", "gpt_neox", "config_v4.json"), folder.File("config.json"));
        folder.Write("pytorch_model.bin", TorchFile.StateDict(
            [
                .. model.named_parameters().Select(named => (named.name, (Tensor)named.parameter.detach())),
                ("gpt_neox.layers.0.attention.bias", ones(1, 1, 128, 128)),
                ("gpt_neox.layers.0.attention.masked_bias", tensor(-1e9f)),
                ("gpt_neox.layers.1.attention.rotary_emb.inv_freq", ones(1)),
            ]));
        using var loaded = CausalLanguageModel.Load(folder.Path);
        Assert.Equal(ArchitectureTests.Logits(model, [5, 80, 300]).ToDoubles(), ArchitectureTests.Logits(loaded, [5, 80, 300]).ToDoubles());
    }

    /// <summary>The base and the share of the rotary embedding were named otherwise in between.</summary>
    [Fact]
    public void Fields_of_transformers_4_are_read_under_either_name()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        File.Copy(Fixture.Path("models", "variants", "gpt_neox_sequential", "model.safetensors"), folder.File("model.safetensors"));
        var config = File.ReadAllText(Fixture.Path("models", "variants", "gpt_neox_sequential", "config_v4.json"));
        using var model = Load(config);
        using var renamed = Load(Replaced(Replaced(config, "rotary_pct", "partial_rotary_factor"), "rotary_emb_base", "rope_theta"));
        using var other = Load(Replaced(config, "rotary_emb_base\": 100", "rotary_emb_base\": 1000"));
        var logits = ArchitectureTests.Logits(model, [5, 8, 30]).ToDoubles();
        Assert.Equal(logits, ArchitectureTests.Logits(renamed, [5, 8, 30]).ToDoubles());
        Assert.NotEqual(logits, ArchitectureTests.Logits(other, [5, 8, 30]).ToDoubles());

        TransformerModel Load(string text)
        {
            folder.Write("config.json", text);
            return CausalLanguageModel.Load(folder.Path);
        }
    }

    [Theory]
    [InlineData("\"gelu\"", "\"relu\"",
        "`hidden_act` is \"relu\"; Dpo implements gelu, gelu_new, gelu_fast and gelu_pytorch_tanh for gpt_neox.")]
    [InlineData("\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "`hidden_size` is 32; it must be a multiple of num_attention_heads, 5.")]
    [InlineData("\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"",
        "`rope_parameters.rope_type` is \"yarn\"; Dpo implements default, linear and llama3 for gpt_neox.")]
    [InlineData("\"partial_rotary_factor\": 0.25", "\"partial_rotary_factor\": 0.2",
        "`rope_parameters.partial_rotary_factor` is 0.2; of 8 entries of a head it must leave an even number to be turned, from 2 to 8.")]
    public void What_is_not_implemented_is_refused_by_field(string old, string replacement, string message) =>
        Assert.Equal(
            $"{folder.File("config.json")}: {message}",
            Architectures.Refusal(folder, Fixture.Path("models", "gpt_neox", "config.json"), old, replacement));

    private static string Replaced(string text, string old, string replacement)
    {
        Assert.Contains(old, text, StringComparison.Ordinal);
        return text.Replace(old, replacement, StringComparison.Ordinal);
    }
}
