using System.Text.Json;
using System.Text.Json.Nodes;

namespace Dpo.Tests;

/// <summary>Small tokenizers in the styles of well-known ones, with what Hugging Face's library gives for them.</summary>
internal sealed class TokenizerStyles
{
    private static readonly JsonNode Root =
        JsonNode.Parse(File.ReadAllText(Fixture.Path("tokenizer_styles", "tokenizer_styles.json")))!;

    public static IEnumerable<string> Names => Styles.Select(style => (string)style!["name"]!);

    private static JsonArray Styles => Root["styles"]!.AsArray();

    public static JsonNode Style(string name) => Styles.Single(style => (string)style!["name"]! == name)!;

    /// <summary>The style's <c>tokenizer.json</c>.</summary>
    public static JsonNode TokenizerJson(string name)
    {
        var tokenizer = Style(name)["tokenizer"]!.DeepClone();
        foreach (var (field, value) in Root["models"]![(string)Style(name)["model"]!]!.AsObject())
            tokenizer["model"]![field] = value!.DeepClone();
        return tokenizer;
    }

    public static TextTokenizer Load(string name) => Load(TokenizerJson(name));

    public static TextTokenizer Load(JsonNode tokenizerJson)
    {
        using var folder = new TemporaryFolder();
        folder.Write("tokenizer.json", tokenizerJson.ToJsonString());
        var specials = tokenizerJson["added_tokens"]!.AsArray().Select(token => (string)token!["content"]!).ToList();
        var end = specials.Contains("</s>") ? "</s>" : "<|endoftext|>";
        folder.Write("tokenizer_config.json", JsonSerializer.Serialize(new { eos_token = end }));
        return TextTokenizer.Load(folder.Path);
    }
}
