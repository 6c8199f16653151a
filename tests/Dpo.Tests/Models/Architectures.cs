using TorchSharp;

namespace Dpo.Tests;

/// <summary>The model folders of the fixtures that tests of every architecture run over.</summary>
internal static class Architectures
{
    private static readonly string[] Names =
    [
        "gpt2", "gpt2_sharded", "gptj", "gpt_neox", "llama", "llama_bf16", "mistral", "qwen2", "qwen3", "gemma2", "phi3",
        // Windows, biases, scaled or partial rotary positions and head sizes of their own, which those leave at the default.
        "variants/llama_biases_linear", "variants/llama_tied_llama3", "variants/mistral_window", "variants/qwen2_window",
        "variants/qwen3_window", "variants/gemma2_window", "variants/phi3_window",
        "variants/gptj_whole_heads", "variants/gpt_neox_sequential",
    ];

    public static TheoryData<string> Folders => [.. Names];

    /// <summary>Every folder with either spelling of its configuration.</summary>
    public static IEnumerable<object[]> FoldersAndConfigs =>
        Names.SelectMany(folder => ((string[])["config.json", "config_v4.json"]).Select(config => (object[])[folder, config]));

    /// <summary>Loads a folder with the configuration of the given name as its <c>config.json</c>.</summary>
    public static TransformerModel Load(string folder, string config = "config.json", torch.Device? device = null)
    {
        using var copy = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(Fixture.Path("models", folder), "model*"))
            File.Copy(file, copy.File(Path.GetFileName(file)));
        File.Copy(Fixture.Path("models", folder, config), copy.File("config.json"));
        return CausalLanguageModel.Load(copy.Path, device);
    }

    /// <summary>The sliding windows that layers attend through, each once.</summary>
    public static IEnumerable<int> Windows(TransformerModel model) =>
        Enumerable.Range(0, model.LayerCount).Select(layer => model.StyleOf(layer).Window).OfType<int>().Distinct();

    /// <summary>What loading a folder with an edited configuration is refused with.</summary>
    public static string Refusal(TemporaryFolder folder, string config, string old, string replacement)
    {
        var text = File.ReadAllText(config);
        Assert.Contains(old, text, StringComparison.Ordinal);
        folder.Write("config.json", text.Replace(old, replacement, StringComparison.Ordinal));
        return Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path)).Message;
    }
}
