using System.Text.Json;

namespace Dpo.Tests;

/// <summary>Published tokenizers, which lie beside the checkout and not in it.</summary>
public class PublishedTokenizersTests
{
    [SharedFact("tokenizers/gpt-neox-tokenizer.json")]
    public void Gpt_neox_gives_hugging_faces_ids()
    {
        var file = Fixture.Shared("tokenizers", "gpt-neox-tokenizer.json")!;
        using var folder = new TemporaryFolder();
        File.Copy(file, folder.File("tokenizer.json"));
        folder.Write("tokenizer_config.json", """{"eos_token": "<|endoftext|>"}""");
        var tokenizer = TextTokenizer.Load(folder.Path);
        Equal(tokenizer, "gpt_neox_cases.json");
        Assert.Equal(50277, tokenizer.VocabularySize);
    }

    [SharedFact("models/stories260K")]
    public void Stories260K_gives_the_ids_of_llama2c_and_hugging_face()
    {
        var folder = Fixture.Shared("models", "stories260K")!;
        var tokenizer = TextTokenizer.Load(folder);
        Equal(tokenizer, "stories260k_cases.json");
        Assert.Equal((2, 1, 0), (tokenizer.EndOfTextId, tokenizer.BeginningOfTextId, tokenizer.PadId));

        using var expected = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "expected.json")));
        var cases = expected.RootElement.GetProperty("tokenizer_cases").EnumerateArray().ToList();
        foreach (var @case in cases)
        {
            var ids = @case.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToList();
            Assert.Equal(ids, tokenizer.EncodePrompt(@case.GetProperty("text").GetString()!));
            Assert.Equal(@case.GetProperty("decoded_skip_special").GetString(), tokenizer.Decode(ids, skipSpecial: true));
        }
        Assert.True(cases.Count >= 8);
    }

    [SharedFact("models/stories260K")]
    public void A_text_without_words_is_encoded_as_a_whole_in_its_parts()
    {
        var folder = Fixture.Shared("models", "stories260K")!;
        // A prompt and its completion are the same ids apart as together, where they part between words.
        var tokenizer = TextTokenizer.Load(folder);
        Assert.Equal(
            tokenizer.Encode("Once upon a time, there was a cat."),
            tokenizer.Encode("Once upon a time,").Concat(tokenizer.Encode(" there was a cat.", continues: true)));
        Assert.NotEqual(tokenizer.Encode("cat"), tokenizer.Encode("cat", continues: true));
    }

    private static void Equal(TextTokenizer tokenizer, string fixture)
    {
        using var recorded = JsonDocument.Parse(File.ReadAllText(Fixture.Path("tokenizer_styles", fixture)));
        foreach (var @case in recorded.RootElement.GetProperty("cases").EnumerateArray())
        {
            int[]? Ids(string name) => @case.TryGetProperty(name, out var ids) ? [.. ids.EnumerateArray().Select(id => id.GetInt32())] : null;
            string? Text(string name) => @case.TryGetProperty(name, out var text) ? text.GetString() : null;
            var text = Text("text")!;
            var ids = Ids("ids")!;
            Assert.Equal(ids, tokenizer.Encode(text, allowSpecial: true));
            Assert.Equal(Ids("plain_ids") ?? ids, tokenizer.Encode(text));
            Assert.Equal(Text("decoded") ?? text, tokenizer.Decode(ids));
            Assert.Equal(Text("decoded_skip_special") ?? Text("decoded") ?? text, tokenizer.Decode(ids, skipSpecial: true));
        }
    }
}
