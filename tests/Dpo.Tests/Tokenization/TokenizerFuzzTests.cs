using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

/// <summary>Damaged tokenizer files load as something that works, or are refused by file and field; nothing else happens.</summary>
public class TokenizerFuzzTests
{
    private const string Text = "  Once <tok> upon\n\na e\u0301 日本 \U0001F600 42's \u2581x</s><0x41>";

    [Theory]
    [InlineData("gpt_neox")]
    [InlineData("llama3")]
    [InlineData("deepseek")]
    [InlineData("llama2")]
    [InlineData("metaspace_always")]
    public void Damaged_tokenizer_files_are_refused_by_name_or_work(string style)
    {
        var refused = 0;
        var loaded = 0;
        using var parent = new TemporaryFolder();
        JsonDamage.Of(TokenizerStyles.TokenizerJson(style), "vocab", "merges").Sample(
            json =>
            {
                var name = Guid.NewGuid().ToString("N");
                parent.Write(Path.Combine(name, "tokenizer.json"), json);
                parent.Write(Path.Combine(name, "tokenizer_config.json"), """{"eos_token": "<tok>"}""");
                var folder = parent.File(name);
                var before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    var tokenizer = TextTokenizer.Load(folder);
                    // A tokenizer that could be read encodes every text, and decodes what it encoded.
                    tokenizer.Decode(tokenizer.Encode(Text, allowSpecial: true));
                    tokenizer.Decode(tokenizer.Encode(Text, continues: true), skipSpecial: true);
                    Interlocked.Increment(ref loaded);
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith(folder, e.Message, StringComparison.Ordinal);
                    Assert.EndsWith(".", e.Message, StringComparison.Ordinal);
                    Interlocked.Increment(ref refused);
                }
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 50_000_000);
                Directory.Delete(folder, recursive: true);
            },
            iter: 300);
        Assert.True(refused > 80 && loaded > 10, $"{refused} refused, {loaded} loaded");
    }

    [Fact]
    public void Damaged_files_beside_it_are_refused_by_name_or_work()
    {
        using var parent = new TemporaryFolder();
        var tokenizer = TokenizerStyles.TokenizerJson("gpt2").ToJsonString();
        string[] names = ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "config.json"];
        var valid = JsonNode.Parse(
            """
            {"eos_token": "<|im_end|>", "bos_token": {"content": "<|endoftext|>", "lstrip": false}, "pad_token": null,
             "eos_token_id": [422, 420], "bos_token_id": 420, "pad_token_id": 0}
            """)!;
        var loaded = 0;
        Gen.Select(Gen.Int[0, names.Length - 1], JsonDamage.Of(valid)).Sample(
            (index, json) =>
            {
                var name = names[index];
                var folder = parent.File(Guid.NewGuid().ToString("N"));
                parent.Write(Path.Combine(folder, "tokenizer.json"), tokenizer);
                parent.Write(Path.Combine(folder, name), json);
                try
                {
                    Assert.InRange(TextTokenizer.Load(folder).EndOfTextId, 0, 500);
                    Interlocked.Increment(ref loaded);
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith(folder, e.Message, StringComparison.Ordinal);
                }
                Directory.Delete(folder, recursive: true);
            },
            iter: 300);
        Assert.InRange(loaded, 20, 299);
    }
}
