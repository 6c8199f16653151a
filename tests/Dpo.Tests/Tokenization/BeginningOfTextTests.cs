using System.Text.Json.Nodes;

namespace Dpo.Tests;

/// <summary>What stands in front of a prompt: what the model's own tokenizer puts there, or what was asked for.</summary>
public class BeginningOfTextTests
{
    private const string Bos = "\"bos_token\": \"<|pad|>\"";
    private const string Template = """
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|pad|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
         {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}], "pair": [], "special_tokens": {"<|pad|>": {"id": "<|pad|>", "ids": [1], "tokens": ["<|pad|>"]}}}
        """;

    /// <summary>The fixture's tokenizer, whose ids 0 and 1 are special.</summary>
    private static TextTokenizer Load(string? postProcessor, string config = "", bool? bos = null)
    {
        using var folder = Folder(postProcessor, config);
        return TextTokenizer.Load(folder.Path, bos);
    }

    private static TemporaryFolder Folder(string? postProcessor, string config)
    {
        var folder = new TemporaryFolder();
        var root = JsonNode.Parse(File.ReadAllText(Fixture.Path("tokenizer", "tokenizer.json")))!;
        if (postProcessor is not null)
            root["post_processor"] = JsonNode.Parse(postProcessor);
        foreach (var (index, content) in ((string[])["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]).Index())
            root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 384 + index, ["content"] = content, ["special"] = true });
        folder.Write("tokenizer.json", root.ToJsonString());
        folder.Write("tokenizer_config.json", $"{{\"eos_token\": \"<|endoftext|>\"{(config.Length == 0 ? "" : ", " + config)}}}");
        return folder;
    }

    [Theory]
    [InlineData(null, Bos, null, "")]
    [InlineData("null", "", null, "")]
    [InlineData(Template, "", null, "1")]
    [InlineData(Template, Bos, null, "1")]
    [InlineData(Template, Bos + ", \"add_bos_token\": true", null, "1")]
    [InlineData(Template, Bos + ", \"add_bos_token\": false", null, "")]
    [InlineData(Template, Bos + ", \"add_bos_token\": null", false, "")]
    [InlineData(Template, Bos + ", \"add_bos_token\": false", true, "1")]
    [InlineData("null", Bos + ", \"add_bos_token\": true", null, "1")]
    [InlineData("null", Bos, true, "1")]
    [InlineData("""{"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|begin_of_text|>"}}, {"SpecialToken": {"id": "<|pad|>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {}}]}""", "", null, "384 1")]
    [InlineData("""{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<|endoftext|>"}}]}""", Bos, null, "")]
    [InlineData("""{"type": "RobertaProcessing", "sep": ["<|endoftext|>", 0], "cls": ["<|pad|>", 1]}""", "", null, "1")]
    public void A_prompt_begins_as_the_models_own_tokenizer_or_the_caller_says(string? postProcessor, string config, bool? bos, string expected)
    {
        var tokenizer = Load(postProcessor, config, bos);
        Assert.Equal(expected, string.Join(' ', tokenizer.BeginningIds));
        Assert.Equal([.. tokenizer.BeginningIds, .. tokenizer.Encode("the <|pad|> film")], tokenizer.EncodePrompt("the <|pad|> film"));
        Assert.DoesNotContain(1, tokenizer.Encode("the <|pad|> film"));
    }

    [Theory]
    [InlineData("tokenizer_config.json: add_bos_token is true, but no file names a bos_token of the vocabulary; name one, or take add_bos_token out.", "null", "\"add_bos_token\": true")]
    [InlineData("tokenizer_config.json: add_bos_token is \"yes\", but it must be true or false.", "null", "\"add_bos_token\": \"yes\"")]
    [InlineData(": prompts were to begin with the beginning-of-text token, but the tokenizer's files name none (bos_token); leave that to its default.", "null", "", true)]
    [InlineData("tokenizer.json: post_processor.single is missing, but it must be of the kind Array.", """{"type": "TemplateProcessing"}""", "")]
    [InlineData("tokenizer.json: post_processor.single[0].SpecialToken.id is \"<s>\", but it must name a token of the vocabulary.", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]}""", "")]
    [InlineData("tokenizer.json: post_processor.single[0].SpecialToken.id is \"<s>\", but it must have ids of the vocabulary in special_tokens.", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {"<s>": {"ids": [9000]}}}""", "")]
    [InlineData("tokenizer.json: post_processor.cls is missing, but it must name a token of the vocabulary.", """{"type": "BertProcessing"}""", "")]
    public void A_beginning_that_is_no_token_is_refused(string expected, string postProcessor, string config, bool? bos = null)
    {
        using var folder = Folder(postProcessor, config);
        var message = Assert.Throws<InvalidInputException>(() => TextTokenizer.Load(folder.Path, bos)).Message;
        Assert.StartsWith(folder.Path, message, StringComparison.Ordinal);
        Assert.EndsWith(expected, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_chat_whose_template_writes_it_does_not_get_it_twice()
    {
        var chat = new PreferenceExample("", "a", "b")
        {
            Conversation = new Conversation([new ChatMessage("user", "Hi")], [[new ChatMessage("assistant", "a")], [new ChatMessage("assistant", "b")]]),
        };
        IReadOnlyList<int> Prompt(ChatTemplate template, bool? bos) =>
            new ExampleTokenizer(Load("null", "\"bos_token\": \"<|begin_of_text|>\"", bos), chatTemplate: template).Tokenize(chat, new DataReport())!.Prompt;
        Assert.Equal([384, 385], Prompt(ChatTemplate.Llama3, bos: true).Take(2));
        Assert.Equal(Prompt(ChatTemplate.Llama3, bos: null), Prompt(ChatTemplate.Llama3, bos: true));
        Assert.Equal([384, .. Prompt(ChatTemplate.HelpfulHarmless, bos: null)], Prompt(ChatTemplate.HelpfulHarmless, bos: true));
    }

    [Fact]
    public void It_stays_in_front_of_a_prompt_that_is_cut_and_counts_in_its_length()
    {
        var tokenizer = Load(Template);
        TokenizedExample Tokenize(string prompt, Truncation truncation, int maxPromptLength = 4, int maxLength = 10) =>
            new ExampleTokenizer(tokenizer, maxLength, maxPromptLength, truncation).Tokenize(new PreferenceExample(prompt, "xyzxyzxyz", "z"), new DataReport())!;
        string Text(IReadOnlyList<int> ids) => tokenizer.Decode(ids);
        var kept = Tokenize("abcqvw", Truncation.PaperKeepPromptEnd);
        Assert.Equal(("<|pad|>qvw", "xyzxyz"), (Text(kept.Prompt), Text(kept.Completions[0])));
        Assert.Equal("<|pad|>abc", Text(Tokenize("abcqvw", Truncation.PaperKeepPromptStart).Prompt));
        Assert.Equal("<|pad|>", Text(Tokenize("abcqvw", Truncation.PaperKeepPromptEnd, maxPromptLength: 1).Prompt));
        // Of two tokens in front as many as there is room for.
        var two = Load("""
            {"type": "TemplateProcessing", "special_tokens": {},
             "single": [{"SpecialToken": {"id": "<|begin_of_text|>"}}, {"SpecialToken": {"id": "<|pad|>"}}, {"Sequence": {"id": "A"}}]}
            """);
        Assert.Equal([384], new ExampleTokenizer(two, 10, 1).Tokenize(new PreferenceExample("abcqvw", "xyzxyzxyz", "z"), new DataReport())!.Prompt);
        var start = Tokenize("abcqvw", Truncation.KeepStart);
        Assert.Equal(("<|pad|>abcqvw", "xyz"), (Text(start.Prompt), Text(start.Completions[0])));
        // What begins with it is a prompt, even where nothing follows.
        Assert.Equal([1], Tokenize("", Truncation.PaperKeepPromptEnd).Prompt);
    }

    [Fact]
    public void Data_sampling_and_log_probabilities_see_the_same_prompt_and_the_report_says_so()
    {
        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        var tokenizer = Load(Template);
        var report = new DataReport();
        report.CountRead();
        var example = new ExampleTokenizer(tokenizer).Tokenize(new PreferenceExample("The film", " was good", " was bad"), report)!;
        Assert.Equal(tokenizer.EncodePrompt("The film"), example.Prompt);
        Assert.Equal(1, example.Prompt[0]);
        var options = new SamplingOptions { MaxNewTokens = 6, Temperature = 0 };
        var sampled = Assert.Single(Sampler.Sample(model, tokenizer, ["The film"], options));
        var expected = Assert.Single(Sampler.Sample(model, [example.Prompt], options, tokenizer));
        Assert.Equal(expected.LogProbs, sampled.LogProbs);
        Assert.NotEqual(Assert.Single(Sampler.Sample(model, [tokenizer.Encode("The film")], options, tokenizer)).LogProbs, sampled.LogProbs);

        Assert.Equal("<|pad|>", report.BeginningOfText);
        Assert.Contains("\nevery prompt begins with <|pad|>\n", DataDescription.Of([example], report) + "\n", StringComparison.Ordinal);
        // A file of tokens is of the tokenizer that put the same in front.
        Assert.Equal(tokenizer.Identity.Digest, Load(Template, bos: true).Identity.Digest);
        Assert.NotEqual(tokenizer.Identity.Digest, Load(Template, bos: false).Identity.Digest);
        var without = new DataReport();
        new ExampleTokenizer(Load(null)).Tokenize(new PreferenceExample("The film", " was good", " was bad"), without);
        Assert.Null(without.BeginningOfText);
    }
}
