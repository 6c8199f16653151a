using System.Text.Json.Nodes;

namespace Dpo.Tests;

/// <summary>Tokenizer files that are malformed, or ask for what is not implemented, are refused by file and field.</summary>
public class TokenizerFilesTests
{
    private static readonly (string Name, string Text) EndOfText = ("tokenizer_config.json", "{\"eos_token\": \"<|endoftext|>\"}");

    [Theory]
    [InlineData("model", "3", "model is 3, but it must be of the kind Object.")]
    [InlineData("model.type", "\"Unigram\"", "model.type is \"Unigram\", but only BPE is implemented.")]
    [InlineData("model.byte_fallback", "true", "model.byte_fallback is true beside a ByteLevel pre_tokenizer, which is not implemented.")]
    [InlineData("model.ignore_merges", "1", "model.ignore_merges is 1, but it must be true or false.")]
    [InlineData("model.dropout", "0.1", "model.dropout is 0.1, which is not implemented.")]
    [InlineData("model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix is \"##\", which is not implemented.")]
    [InlineData("model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix is \"</w>\", which is not implemented.")]
    [InlineData("model.cleverness", "3", "model.cleverness is a field that is not implemented.")]
    [InlineData("normalizer", "{\"type\":\"NFKC\"}", "normalizer.type is \"NFKC\", but NFC, Prepend, Replace and Sequence are implemented.")]
    [InlineData("normalizer", "\"NFC\"", "normalizer is \"NFC\", but it must be of the kind Object.")]
    [InlineData("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}", "normalizer.normalizers[1].type is \"Lowercase\", but NFC, Prepend, Replace and Sequence are implemented.")]
    [InlineData("normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" +\"},\"content\":\" \"}", "normalizer.pattern is {\"Regex\":\" \\u002B\"}, which is not implemented.")]
    [InlineData("normalizer", "{\"type\":\"Prepend\"}", "normalizer.prepend is missing, but it must be a text.")]
    [InlineData("pre_tokenizer", "null", "pre_tokenizer has no ByteLevel and model.byte_fallback is not true, so not every text could be encoded; implemented are tokenizers with either.")]
    [InlineData("pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Digits\"}]}", "pre_tokenizer.pretokenizers[1] comes after ByteLevel, which is implemented as the last step only.")]
    [InlineData("pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"},{\"type\":\"ByteLevel\"}]}", "pre_tokenizer.pretokenizers[0].type is \"Whitespace\", but ByteLevel, Digits, Metaspace, Sequence and Split are implemented.")]
    [InlineData("pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Shattered\"},{\"type\":\"ByteLevel\"}]}", "pre_tokenizer.pretokenizers[0].behavior is \"Shattered\", but Isolated, Removed, MergedWithPrevious, MergedWithNext and Contiguous are implemented.")]
    [InlineData("pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a)\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\"}]}", "pre_tokenizer.pretokenizers[0].pattern.Regex is no pattern that can be used: '(a)' at character 0 is not implemented.")]
    [InlineData("pre_tokenizer.add_prefix_space", "2", "pre_tokenizer.add_prefix_space is 2, but it must be true or false.")]
    [InlineData("pre_tokenizer.add_prefix_space", "null", "pre_tokenizer.add_prefix_space is null, but it must be true or false.")]
    [InlineData("post_processor", "{\"type\":\"Summarizing\"}", "post_processor.type is \"Summarizing\", but BertProcessing, ByteLevel, RobertaProcessing, Sequence and TemplateProcessing are implemented.")]
    [InlineData("decoder.type", "\"WordPiece\"", "decoder.type is \"WordPiece\", but only ByteLevel is implemented.")]
    [InlineData("decoder", "null", "decoder.type is missing, but only ByteLevel is implemented.")]
    [InlineData("model.vocab", "[]", "model.vocab is [], but it must be of the kind Object.")]
    [InlineData("model.merges", "null", "model.merges is null, but it must be of the kind Array.")]
    [InlineData("model.vocab.!", "-1", "model.vocab gives '!' the id -1, which is no whole number from 0.")]
    [InlineData("model.vocab.!", "2.5", "model.vocab gives '!' the id 2.5, which is no whole number from 0.")]
    [InlineData("model.vocab.!", "3", "model.vocab gives the id 3 to both '!' and '\"'.")]
    [InlineData("model.merges.0", "\"Ġ\"", "model.merges[0] is 'Ġ', which names no two tokens.")]
    [InlineData("model.merges.0", "[\"a\", 1]", "model.merges[0] is [\"a\",1], which names no two tokens.")]
    [InlineData("model.merges.0", "\"q q\"", "model.merges[0] merges 'q' and 'q', but 'qq' is no ordinary token of the vocabulary.")]
    [InlineData("model.merges.1", "\"Ġ t\"", "model.merges[1] repeats the merge of 'Ġ' and 't'.")]
    [InlineData("added_tokens.0.id", "7", "added_tokens[0] gives '<|endoftext|>' the id 7, which contradicts the vocabulary.")]
    [InlineData("added_tokens.0.id", "\"0\"", "added_tokens[0].id is missing or no whole number from 0.")]
    [InlineData("added_tokens.0.content", "\"\"", "added_tokens[0].content is missing or no text.")]
    [InlineData("added_tokens", "3", "added_tokens is 3, but it must be of the kind Array.")]
    [InlineData("added_tokens.1.single_word", "true", "added_tokens[1].single_word is true, which is not implemented.")]
    [InlineData("added_tokens.1.lstrip", "1", "added_tokens[1].lstrip is 1, but it must be true or false.")]
    public void A_changed_field_is_refused_by_name(string field, string value, string expected)
    {
        var root = Tokenizer();
        root["model"]!["merges"]![0] = "Ġ t";
        Set(root, field.Split('.'), JsonNode.Parse(value));
        Refused(root.ToJsonString(), expected);
    }

    [Fact]
    public void Malformed_json_is_refused() =>
        Assert.Contains("tokenizer.json is not valid JSON (", Message("{\"model\": "), StringComparison.Ordinal);

    [Fact]
    public void Half_a_surrogate_pair_is_refused() =>
        Assert.Contains("tokenizer.json holds a string with half a surrogate pair", Message(
            Tokenizer().ToJsonString().Replace("\"!\":2", "\"\\ud800\":2", StringComparison.Ordinal)), StringComparison.Ordinal);

    [Fact]
    public void A_token_given_twice_is_refused() => Assert.EndsWith(
        "tokenizer.json names a field twice: Duplicate property '!' encountered during deserialization.",
        Message(Tokenizer().ToJsonString().Replace("\"!\":2", "\"!\":2,\"!\":999", StringComparison.Ordinal)), StringComparison.Ordinal);

    [Fact]
    public void A_missing_byte_is_refused()
    {
        var root = Tokenizer();
        root["model"]!["vocab"]!.AsObject().Remove("Ġ");
        Refused(root.ToJsonString(), "the vocabulary has no ordinary token 'Ġ', so the byte it spells could not be encoded.");
    }

    [Fact]
    public void A_merge_that_would_make_a_special_token_is_refused()
    {
        var root = Tokenizer();
        root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = root["model"]!["vocab"]!["he"]!.DeepClone(), ["content"] = "he", ["special"] = true });
        var message = Message(root.ToJsonString());
        Assert.EndsWith("but 'he' is no ordinary token of the vocabulary.", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Merges_may_be_strings_and_pairs()
    {
        var root = Tokenizer();
        var merges = root["model"]!["merges"]!.AsArray();
        root["model"]!["merges"] = new JsonArray([.. merges.Select(m => (JsonNode)$"{m![0]} {m[1]}")]);
        using var folder = Folder(root.ToJsonString(), EndOfText);
        Assert.Equal([264, 317, 68, 309], TextTokenizer.Load(folder.Path).Encode(" spaces"));
    }

    [Fact]
    public void Added_tokens_that_are_not_special_are_matched_in_any_text_the_longest_first()
    {
        var root = Tokenizer();
        foreach (var (content, id) in new[] { ("<b>", 400), ("<b><i>", 401) })
            root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = id, ["content"] = content, ["special"] = false });
        using var folder = Folder(root.ToJsonString(), EndOfText);
        var tokenizer = TextTokenizer.Load(folder.Path);
        Assert.Equal([400, 401, 66, 400], tokenizer.Encode("<b><b><i>a<b>"));
        Assert.Equal("<b><i>", tokenizer.Decode([401], skipSpecial: true));
        Assert.Equal(402, tokenizer.VocabularySize);
    }

    [Theory]
    [InlineData("tokenizer_config.json", "{\"eos_token\": {\"content\": \"!\"}}", ": the vocabulary has no ordinary token '!', so the byte it spells could not be encoded.")]
    [InlineData("tokenizer_config.json", "{\"eos_token\": \"</s>\"}", ": eos_token is \"</s>\", which is no token of the vocabulary.")]
    [InlineData("special_tokens_map.json", "{\"eos_token\": 3}", ": eos_token is 3, which is no token of the vocabulary.")]
    [InlineData("config.json", "{\"eos_token_id\": 4000}", ": eos_token_id is 4000, which is no id of the vocabulary.")]
    [InlineData("generation_config.json", "[]", "/generation_config.json is not a JSON object.")]
    [InlineData("config.json", "{}", ": eos_token is missing; name the token that ends a text.")]
    public void A_bad_end_of_text_is_refused(string file, string json, string expected)
    {
        using var folder = Folder(Tokenizer().ToJsonString(), (file, json));
        var e = Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path));
        Assert.EndsWith(expected, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_other_special_tokens_and_all_ids_to_stop_at_are_found_too()
    {
        using var folder = Folder(
            Tokenizer().ToJsonString(), ("tokenizer_config.json", "{\"eos_token\": \"<|endoftext|>\", \"pad_token\": null}"),
            ("generation_config.json", "{\"bos_token_id\": 1, \"pad_token_id\": 1, \"eos_token_id\": [1, 0, 70]}"));
        var tokenizer = TextTokenizer.Load(folder.Path);
        Assert.Equal(0, tokenizer.EndOfTextId);
        Assert.Equal([0, 1, 70], tokenizer.StopIds);
        Assert.Equal(1, tokenizer.BeginningOfTextId);
        Assert.Null(tokenizer.PadId);
    }

    /// <summary>GPT-2's default ids in the configuration of a model with another vocabulary, and Llama 1's pad of −1.</summary>
    [Theory]
    [InlineData("config.json", "{\"eos_token_id\": 50256, \"bos_token_id\": 50256, \"pad_token_id\": -1}", "0")]
    [InlineData("generation_config.json", "{\"eos_token_id\": [50256, 70], \"bos_token_id\": 384}", "0 70")]
    public void An_id_outside_the_vocabulary_is_ignored_where_the_tokenizers_own_files_decide(string file, string json, string stopIds)
    {
        using var folder = Folder(Tokenizer().ToJsonString(), EndOfText, (file, json));
        var tokenizer = TextTokenizer.Load(folder.Path);
        Assert.Equal((0, stopIds), (tokenizer.EndOfTextId, string.Join(' ', tokenizer.StopIds)));
        Assert.Null(tokenizer.BeginningOfTextId);
        Assert.Null(tokenizer.PadId);
    }

    [Fact]
    public void What_marks_turns_is_found_by_a_template_and_stays_text_in_data_whatever_its_flag_says()
    {
        var root = Tokenizer();
        foreach (var (index, content) in ((string[])["<|im_start|>", "<|im_end|>", "<\uFF5CUser\uFF5C>", "<turn>", "<tool>", "<b>"]).Index())
            root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 384 + index, ["content"] = content, ["special"] = false });
        using var folder = Folder(
            root.ToJsonString(),
            ("tokenizer_config.json", """{"eos_token": "<|endoftext|>", "added_tokens_decoder": {"387": {"content": "<turn>", "special": true}, "389": {"content": "<b>", "special": false}}}"""),
            ("special_tokens_map.json", """{"additional_special_tokens": [{"content": "<tool>"}, 7, null]}"""));
        var tokenizer = TextTokenizer.Load(folder.Path);
        var ids = tokenizer.Encode("a <|im_start|> b <\uFF5CUser\uFF5C><turn><tool><b><|im_end|>");
        Assert.Equal([389], ids.Where(id => id >= 384));
        Assert.Equal([384, 386, 387, 388, 389, 385], tokenizer.Encode("<|im_start|><\uFF5CUser\uFF5C><turn><tool><b><|im_end|>", allowSpecial: true));
        Assert.Equal("<b>", tokenizer.Decode([384, 386, 387, 388, 389, 385], skipSpecial: true));

        ChatMessage[] messages = [new("user", "a <|im_start|> b")];
        var rendered = tokenizer.Encode(ChatTemplate.ChatMl.Render(messages, generationPrompt: true));
        Assert.Equal([384, .. tokenizer.Encode("user\na <|im_start|> b"), 385, .. tokenizer.Encode("\n"), 384, .. tokenizer.Encode("assistant\n")], rendered);
        // A token that is neither listed nor spelled so is one to a template all the same.
        Assert.Equal([389], tokenizer.Encode([ChatSegment.Special("<b>")]));
    }

    [Theory]
    [InlineData("tokenizer_config.json", "{\"eos_token\": {\"content\": \"<|pad|>\"}}")]
    [InlineData("special_tokens_map.json", "{\"eos_token\": \"<|pad|>\"}")]
    [InlineData("generation_config.json", "{\"eos_token_id\": [1, 0]}")]
    [InlineData("config.json", "{\"eos_token_id\": 1}")]
    public void The_end_of_text_is_found_wherever_it_is_named(string file, string json)
    {
        using var folder = Folder(Tokenizer().ToJsonString(), (file, json));
        Assert.Equal(1, TextTokenizer.Load(folder.Path).EndOfTextId);
    }

    [Fact]
    public void An_early_file_without_the_models_type_is_read()
    {
        var root = Tokenizer();
        root["model"]!.AsObject().Remove("type");
        root["model"]!["continuing_subword_prefix"] = "";
        using var folder = Folder(root.ToJsonString(), EndOfText);
        Assert.Equal([264, 317, 68, 309], TextTokenizer.Load(folder.Path).Encode(" spaces"));
    }

    [Fact]
    public void The_older_layout_reads_alike_and_names_the_line_of_a_bad_merge()
    {
        var root = Tokenizer();
        var merges = root["model"]!["merges"]!.AsArray().Select(m => $"{m![0]} {m[1]}");
        using var folder = new TemporaryFolder();
        folder.Write("vocab.json", root["model"]!["vocab"]!.ToJsonString());
        var text = "#version: 0.2\n" + string.Join("\r\n", merges) + "\r\n";
        var path = folder.Write("merges.txt", text);
        var tokenizer = TextTokenizer.Load(folder.Path);
        Assert.Equal(0, tokenizer.EndOfTextId);
        Assert.Equal([41, 70, 267, 80, 13, 265, 279, 291, 2], tokenizer.Encode("Hello, world!"));

        File.WriteAllText(path, text + "one two three\n");
        var e = Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path));
        var line = text.Count(c => c == '\n') + 1;
        Assert.Equal($"{path}: line {line} is 'one two three', which names no two tokens.", e.Message);
    }

    [Fact]
    public void A_missing_folder_and_an_empty_one_are_refused()
    {
        using var folder = new TemporaryFolder();
        var none = Path.Combine(folder.Path, "none");
        Assert.Equal(
            $"{none}: there is no such folder; give a model folder with its tokenizer files.",
            Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(none)).Message);
        Assert.Equal(
            $"{folder.Path}: holds no tokenizer; it must have tokenizer.json, or vocab.json and merges.txt.",
            Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path)).Message);
    }

    private static JsonNode Tokenizer() => JsonNode.Parse(File.ReadAllText(Fixture.Path("tokenizer", "tokenizer.json")))!;

    private static void Set(JsonNode node, string[] path, JsonNode? value)
    {
        foreach (var name in path[..^1])
            node = (int.TryParse(name, out var index) ? node[index] : node[name])!;
        if (int.TryParse(path[^1], out var last))
            node[last] = value;
        else
            node[path[^1]] = value;
    }

    private static TemporaryFolder Folder(string tokenizer, params (string Name, string Text)[] others)
    {
        var folder = new TemporaryFolder();
        folder.Write("tokenizer.json", tokenizer);
        foreach (var (name, text) in others)
            folder.Write(name, text);
        return folder;
    }

    private static string Message(string tokenizer)
    {
        using var folder = Folder(tokenizer, EndOfText);
        return Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path)).Message;
    }

    private static void Refused(string tokenizer, string expected)
    {
        using var folder = Folder(tokenizer, EndOfText);
        var e = Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path));
        Assert.Equal($"{Path.Combine(folder.Path, "tokenizer.json")}: {expected}", e.Message);
    }
}
