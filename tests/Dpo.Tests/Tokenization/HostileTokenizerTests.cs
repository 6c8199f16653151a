using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Dpo.Tests;

/// <summary>Tokenizer files that would take time or memory out of proportion to what is in them.</summary>
public class HostileTokenizerTests
{
    private const string Bytes = """{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}""";

    private static TemporaryFolder Folder(Action<JsonNode> change, string style = "gpt2")
    {
        var folder = new TemporaryFolder();
        var root = TokenizerStyles.TokenizerJson(style);
        change(root);
        folder.Write("tokenizer.json", root.ToJsonString());
        folder.Write("tokenizer_config.json", style == "gpt2" ? """{"eos_token": "<|endoftext|>"}""" : """{"eos_token": "</s>"}""");
        return folder;
    }

    private static TemporaryFolder Split(string pattern, string kind = "Regex") => Folder(root => root["pre_tokenizer"] = JsonNode.Parse($$"""
        {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"{{kind}}": "{{pattern}}"}, "behavior": "Isolated"}, {{Bytes}}]}
        """));

    /// <summary>The message, within a second and 100 MB, of which most is the parsing of JSON.</summary>
    private static string Refused(TemporaryFolder folder, string? text = null)
    {
        var tokenizer = text is null ? null : TextTokenizer.Load(folder.Path);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var clock = Stopwatch.StartNew();
        var message = Assert.Throws<InvalidInputException>(() => tokenizer is null ? TextTokenizer.Load(folder.Path) : (object)tokenizer.Encode(text!)).Message;
        // A second on a quiet machine.
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 5);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000_000);
        var file = folder.File("tokenizer.json") + ": ";
        Assert.StartsWith(file, message, StringComparison.Ordinal);
        return message[file.Length..];
    }

    private static string Repeat(string text, int count) => string.Concat(Enumerable.Repeat(text, count));

    public static TheoryData<string, string> SlowPatterns => new()
    {
        { "a*a*b", Repeat("a", 10_000) },
        { "a*+b", Repeat("a", 10_000) },
        { "a*a*a*a*b", Repeat("a", 10_000) },
        { Repeat("(?:a|a)", 24) + "b", Repeat("a", 10_000) },
        { Repeat("(?:a|a)?", 24) + "b", Repeat("a", 10_000) },
        { Repeat("a?", 40) + "b", Repeat("a", 10_000) },
        { Repeat("(?=", 12) + "a*a*b" + Repeat(")", 12), Repeat("a", 10_000) },
        { @"\\p{L}+\\p{L}+!", Repeat("a\u00E9", 5000) },
    };

    [Theory]
    [MemberData(nameof(SlowPatterns))]
    public void A_pattern_that_goes_over_the_same_text_again_and_again_is_refused(string pattern, string text)
    {
        using var folder = Split(pattern);
        Assert.Equal(
            "pre_tokenizer.pretokenizers[0].pattern.Regex takes more than 1000 steps a character on a text of 10000 characters, because it tries the same ways again and again; take another pattern.",
            Refused(folder, text));
        // Short texts are no matter to the one that is not exponential.
        if (pattern == "a*a*b")
            Assert.Equal("aaab", TextTokenizer.Load(folder.Path).Decode(TextTokenizer.Load(folder.Path).Encode("aaab")));
    }

    [Fact]
    public void Published_patterns_take_a_handful_of_steps_a_character_of_any_text()
    {
        foreach (var style in TokenizerStyles.Names)
        {
            var tokenizer = TokenizerStyles.Load(style);
            foreach (var piece in (string[])["a", "A", " ", "\n", " \n", "a ", "1", "'", "'s", "!", "日", "\u0301", "\U0001F600", "aB", "\u00A0", "\t\r"])
                Assert.NotEmpty(tokenizer.Encode(Repeat(piece, 20_000)));
        }
    }

    [Theory]
    [InlineData("Regex", "a?", "pre_tokenizer.pretokenizers[0].pattern.Regex is no pattern that can be used: it has 80000 characters; at most 2048 are taken.")]
    [InlineData("String", "ab", "pre_tokenizer.pretokenizers[0].pattern.String has 80000 characters; at most 2048 are taken.")]
    public void A_pattern_longer_than_any_is_refused(string kind, string piece, string expected)
    {
        using var folder = Split(Repeat(piece, 40_000), kind);
        Assert.Equal(expected, Refused(folder));
    }

    [Fact]
    public void The_longest_pattern_needs_no_deep_stack()
    {
        using var folder = Split(Repeat("a?", 1024));
        var tokenizer = TextTokenizer.Load(folder.Path);
        var ids = (IReadOnlyList<int>)[];
        var thread = new Thread(() => ids = tokenizer.Encode(Repeat("a", 5000)), maxStackSize: 512 << 10);
        thread.Start();
        thread.Join();
        Assert.Equal(Repeat("a", 5000), tokenizer.Decode(ids));
    }

    [Fact]
    public void An_added_token_that_the_normalizer_leaves_nothing_of_is_refused()
    {
        using var folder = Folder(root =>
        {
            root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 900, ["content"] = "<|x|>", ["special"] = false, ["normalized"] = true });
            root["normalizer"] = JsonNode.Parse("""{"type": "Replace", "pattern": {"String": "<|x|>"}, "content": ""}""");
        });
        Assert.Equal("added_tokens holds '<|x|>', of which the normalizer leaves nothing.", Refused(folder));
    }

    [Fact]
    public void Many_added_tokens_in_many_places_take_no_longer_than_the_text()
    {
        using var folder = Folder(root =>
        {
            for (var token = 0; token < 20_000; token++)
                root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 900 + token, ["content"] = $"<{token:00000}>", ["special"] = false });
        });
        var tokenizer = TextTokenizer.Load(folder.Path);
        var clock = Stopwatch.StartNew();
        Assert.Equal(Enumerable.Repeat(900 + 19_999, 50_000), tokenizer.Encode(Repeat("<19999>", 50_000)));
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 3);
    }

    [Fact]
    public void A_normalizer_that_makes_much_of_a_text_is_refused_with_the_step()
    {
        static JsonNode Replace(string content) => JsonNode.Parse($$"""{"type": "Replace", "pattern": {"String": "a"}, "content": "{{content}}"}""")!;
        static JsonNode Sequence(params JsonNode[] steps) => new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray(steps) };
        var tenfold = Repeat("a", 10);
        using var six = Folder(root => root["normalizer"] = Sequence([.. Enumerable.Range(0, 6).Select(_ => Replace(tenfold))]));
        Assert.Equal(
            "normalizer.normalizers[1] makes 1000000 characters of a text that may become 160256; a tokenizer's steps lengthen a text 16-fold at most.",
            Refused(six, Repeat("a", 10_000)));
        Assert.Equal(3, TextTokenizer.Load(six.Path).Encode("bcd").Count);

        // One step alone, and a mark: nothing is made before its length is known.
        using var one = Folder(root => root["normalizer"] = Replace(Repeat("ab", 50_000)));
        Assert.StartsWith("normalizer makes 1000000000 characters", Refused(one, Repeat("a", 10_000)), StringComparison.Ordinal);
        using var mark = Folder(root => root["normalizer"] = new JsonObject { ["type"] = "Prepend", ["prepend"] = Repeat("m", 10_000) });
        Assert.StartsWith("normalizer makes 10006 characters", Refused(mark), StringComparison.Ordinal); // of the added token <norm>

        using var many = Folder(root => root["normalizer"] = Sequence([.. Enumerable.Range(0, 100_000).Select(_ => JsonNode.Parse("""{"type": "Prepend", "prepend": "▁"}""")!)]));
        Assert.Equal("normalizer has 100000 steps; at most 32 are taken.", Refused(many));
    }

    [Fact]
    public void The_other_lists_of_steps_are_as_short()
    {
        static JsonArray Many(string step) => [.. Enumerable.Range(0, 33).Select(_ => JsonNode.Parse(step)!)];
        using var cuts = Folder(root => root["pre_tokenizer"] = new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = Many("""{"type": "Digits"}""") });
        Assert.Equal("pre_tokenizer has 33 steps; at most 32 are taken.", Refused(cuts));
        using var nested = Folder(root => root["pre_tokenizer"] = new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray([.. Enumerable.Range(0, 2).Select(_ => new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray([.. Many("""{"type": "Digits"}""").Take(20).Select(step => step!.DeepClone())]) })]),
        });
        Assert.Equal("pre_tokenizer has 40 steps; at most 32 are taken.", Refused(nested));
        using var decoders = Folder(root => root["decoder"]!["decoders"] = Many("""{"type": "Fuse"}"""), "llama2");
        Assert.Equal("decoder has 33 steps; at most 32 are taken.", Refused(decoders));
        using var processors = Folder(root => root["post_processor"] = new JsonObject { ["type"] = "Sequence", ["processors"] = Many("""{"type": "ByteLevel"}""") });
        Assert.Equal("post_processor has 33 steps; at most 32 are taken.", Refused(processors));
    }

    [Fact]
    public void A_decoder_that_makes_much_of_tokens_is_refused_with_the_step()
    {
        using var folder = Folder(
            root => root["decoder"]!["decoders"] = new JsonArray(
                [.. Enumerable.Range(0, 6).Select(_ => JsonNode.Parse($$"""{"type": "Replace", "pattern": {"String": "a"}, "content": "{{Repeat("a", 10)}}"}""")!), JsonNode.Parse("""{"type": "Fuse"}""")!]),
            "llama2");
        var tokenizer = TextTokenizer.Load(folder.Path);
        var ids = tokenizer.Encode(Repeat("a", 10_000));
        Assert.StartsWith(
            $"{folder.File("tokenizer.json")}: decoder.decoders[1] makes 1000",
            Assert.Throws<InvalidInputException>(() => tokenizer.Decode(ids)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("generation_config.json")]
    public async Task A_pipe_or_a_device_in_the_place_of_a_file_is_refused(string name)
    {
        if (OperatingSystem.IsWindows())
            return; // has none in folders
        using var folder = Folder(_ => { });
        File.Delete(folder.File(name));
        RegularFileTests.MakePipe(folder.File(name));
        Assert.Equal(
            $"{folder.File(name)} is a pipe or a device, which has no length; give a regular file.",
            await RegularFileTests.RefusalOf(() => TextTokenizer.Load(folder.Path)));
        File.Delete(folder.File(name));
        File.CreateSymbolicLink(folder.File(name), "/dev/zero");
        Assert.Equal(
            $"{folder.File(name)} is a pipe or a device, which has no length; give a regular file.",
            await RegularFileTests.RefusalOf(() => TextTokenizer.Load(folder.Path)));
    }

    [Fact]
    public void A_file_longer_than_any_is_not_read()
    {
        using var folder = Folder(_ => { });
        using (var file = File.OpenWrite(folder.File("tokenizer_config.json")))
            file.SetLength(70_000_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(
            $"{folder.File("tokenizer_config.json")} has 70000000 bytes; at most 67108864 are read of such a file.",
            Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 5_000_000);
    }

    /// <summary>Whoever plants a link where a temporary file would be written has the files written through it, or a name that is
    /// guessed; there is none.</summary>
    [Fact]
    public void Saving_follows_no_link_that_was_planted()
    {
        if (OperatingSystem.IsWindows())
            return; // lets only administrators make links
        var tokenizer = TextTokenizer.Load(Fixture.Path("tokenizer"));
        using var folder = new TemporaryFolder();
        var victim = folder.Write("victim", "precious");
        Directory.CreateDirectory(folder.File("out"));
        foreach (var name in (string[])["tokenizer.json.tmp", "tokenizer_config.json", "tokenizer_config.json.tmp"])
            File.CreateSymbolicLink(folder.File($"out/{name}"), victim);
        tokenizer.Save(folder.File("out"));
        Assert.Equal("precious", File.ReadAllText(victim));
        foreach (var name in (string[])["tokenizer.json", "tokenizer_config.json"])
        {
            Assert.Null(new FileInfo(folder.File($"out/{name}")).LinkTarget);
            Assert.Equal(File.ReadAllBytes(Fixture.Path("tokenizer", name)), File.ReadAllBytes(folder.File($"out/{name}")));
        }
    }

    [Fact]
    public void A_file_that_cannot_be_written_leaves_nothing_half_written()
    {
        var tokenizer = TextTokenizer.Load(Fixture.Path("tokenizer"));
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("tokenizer.json"));
        Assert.True(Record.Exception(() => tokenizer.Save(folder.Path)) is IOException or UnauthorizedAccessException);
        Assert.DoesNotContain(Directory.GetFiles(folder.Path), file => file.EndsWith(".tmp", StringComparison.Ordinal));
    }
}
