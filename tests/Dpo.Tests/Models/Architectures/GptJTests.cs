using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class GptJTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>As the hub's GPT-J and the paper's TL;DR models are: a state dict of torch with the causal mask in every block.</summary>
    [Fact]
    public void The_hubs_file_of_torch_is_loaded()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Architectures.Load("gptj");
        File.Copy(Fixture.Path("models", "gptj", "config_v4.json"), folder.File("config.json"));
        folder.Write("pytorch_model.bin", TorchFile.StateDict(
            [
                .. model.named_parameters().Select(named => (named.name, (Tensor)named.parameter.detach())),
                ("transformer.h.0.attn.bias", ones(1, 1, 128, 128)),
                ("transformer.h.0.attn.masked_bias", tensor(-1e9f)),
                ("transformer.h.1.attn.embed_positions", ones(128, 4)),
            ]));
        using var loaded = CausalLanguageModel.Load(folder.Path);
        Assert.Equal(ArchitectureTests.Logits(model, [5, 80, 300]).ToDoubles(), ArchitectureTests.Logits(loaded, [5, 80, 300]).ToDoubles());
    }

    [Theory]
    [InlineData("\"gelu_new\"", "\"gelu\"", "`activation_function` is \"gelu\"; Dpo implements gelu_new and gelu_pytorch_tanh for gptj.")]
    [InlineData("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true", "`tie_word_embeddings` is true; Dpo implements false for gptj.")]
    [InlineData("\"n_head\": 4", "\"n_head\": 5", "`n_embd` is 32; it must be a multiple of n_head, 5.")]
    [InlineData("\"rotary_dim\": 4", "\"rotary_dim\": 3", "`rotary_dim` is 3; it must be an even number up to the size of a head, 8.")]
    [InlineData("\"rotary_dim\": 4", "\"rotary_dim\": 10", "`rotary_dim` is 10; it must be an even number up to the size of a head, 8.")]
    public void What_is_not_implemented_is_refused_by_field(string old, string replacement, string message) =>
        Assert.Equal(
            $"{folder.File("config.json")}: {message}",
            Architectures.Refusal(folder, Fixture.Path("models", "gptj", "config.json"), old, replacement));
}
