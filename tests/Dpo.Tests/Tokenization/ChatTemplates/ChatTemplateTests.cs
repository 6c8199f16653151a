using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

public class ChatTemplateTests
{
    private static readonly ChatMessage[] Chat =
        [new("system", "Be brief."), new("user", "Hi!"), new("assistant", "Hello."), new("user", " Who are you? \n")];

    public static TheoryData<string> Names => ["ChatML", "Llama 3", "Zephyr", "Helpful-Harmless"];

    // The strings are what the Jinja templates of the models render.
    [Fact]
    public void ChatMl_is_written_as_qwen_writes_it() => Assert.Equal(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n" +
        "<|im_start|>user\n Who are you? \n<|im_end|>\n<|im_start|>assistant\n",
        Text(ChatTemplate.ChatMl.Render(Chat, generationPrompt: true)));

    [Fact]
    public void Llama3_is_written_as_its_model_card_says() => Assert.Equal(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n" +
        "Hi!<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n" +
        "Who are you?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        Text(ChatTemplate.Llama3.Render(Chat, generationPrompt: true)));

    [Fact]
    public void Zephyr_is_written_as_zephyr_7b_writes_it() => Assert.Equal(
        "<|system|>\nBe brief.</s>\n<|user|>\nHi!</s>\n<|assistant|>\nHello.</s>\n<|user|>\n Who are you? \n</s>\n<|assistant|>\n",
        Text(ChatTemplate.Zephyr.Render(Chat, generationPrompt: true)));

    [Fact]
    public void Helpful_harmless_is_written_as_the_transcripts_are()
    {
        Assert.Equal(
            "\n\nHuman: Hi!\n\nAssistant: Hello.\n\nHuman:  Who are you? \n\n\nAssistant:",
            Text(ChatTemplate.HelpfulHarmless.Render(Chat[1..], generationPrompt: true)));
        Assert.Equal(
            "The chat template Helpful-Harmless has no role 'system', but only user, assistant.",
            Assert.Throws<InvalidInputException>(() => ChatTemplate.HelpfulHarmless.Render(Chat)).Message);
    }

    [Fact]
    public void A_format_of_one_s_own_is_written_as_it_says()
    {
        var gemma = new ChatTemplate("Gemma")
        {
            Roles = ["user", "assistant"],
            Beginning = [ChatSegment.Special("<bos>")],
            Header = role => [ChatSegment.Special("<start_of_turn>"), ChatSegment.OfText(role == "user" ? "user\n" : "model\n")],
            Content = text => text.Trim(),
            End = [ChatSegment.Special("<end_of_turn>"), ChatSegment.OfText("\n")],
        };
        Assert.Equal(
            "<bos><start_of_turn>user\nHi!<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nWho are you?<end_of_turn>\n" +
            "<start_of_turn>model\n",
            Text(gemma.Render(Chat[1..], generationPrompt: true)));
        Assert.Equal("Hello.<end_of_turn>\n", Text(gemma.RenderCompletion([Chat[2]])));
        Assert.Equal(
            "The chat template Gemma has no role 'system', but only user, assistant.",
            Assert.Throws<InvalidInputException>(() => gemma.Render(Chat)).Message);
        Assert.Equal("Hi!Hello.", Text(new ChatTemplate("bare").Render(Chat[1..3])));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_prompt_and_its_completion_are_the_whole_conversation(string name)
    {
        var template = Template(name);
        ChatMessage[] prompt = Chat[1..2], completion = Chat[2..];
        Assert.Equal(
            Text(template.Render([.. prompt, .. completion])),
            Text(template.Render(prompt, generationPrompt: true)) + Text(template.RenderCompletion(completion)));
        Assert.Equal(
            "The first message of a completion must be the assistant's.",
            Assert.Throws<InvalidInputException>(() => template.RenderCompletion(prompt)).Message);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Messages_cannot_open_or_end_a_turn_by_special_tokens(string name)
    {
        var template = Template(name);
        var tokenizer = Tokenizer();
        var special = tokenizer.Encode("<|im_start|><|im_end|><|begin_of_text|><|start_header_id|><|end_header_id|><|eot_id|><|endoftext|>", allowSpecial: true);
        Assert.Equal(7, special.Count);
        int Count(string content) => tokenizer.Encode(template.Render([new("user", content)], generationPrompt: true)).Count(special.Contains);
        Gen.OneOf("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|im_start|>system\n", "hi", " ", "<|im", "_end|>").List[0, 8].Select(string.Concat)
            .Sample(content => Assert.Equal(Count(""), Count(content)), iter: 200);
    }

    [Theory]
    [InlineData("ChatML")]
    [InlineData("Llama 3")]
    public void The_ids_are_those_of_the_rendered_string(string name)
    {
        var tokenizer = Tokenizer();
        var segments = Template(name).Render(Chat, generationPrompt: true);
        Assert.Equal(tokenizer.Encode(Text(segments), allowSpecial: true), tokenizer.Encode(segments));
    }

    [Fact]
    public void A_tokenizer_without_the_special_tokens_is_refused()
    {
        var e = Assert.Throws<InvalidInputException>(
            () => TextTokenizer.Load(Fixture.Path("tokenizer")).Encode(ChatTemplate.ChatMl.Render(Chat)));
        Assert.Equal(
            $"{Fixture.Path("tokenizer")}: the chat template needs the special token '<|im_start|>', which the tokenizer does not have; use " +
            "the template the model was trained with.",
            e.Message);
    }

    [Theory]
    [InlineData("ChatML", "<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n", "Hello.<|im_end|>\n")]
    [InlineData("Llama 3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi!<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "Hello.<|eot_id|>")]
    [InlineData("Zephyr", "<|user|>\nHi!<|endoftext|>\n<|assistant|>\n", "Hello.<|endoftext|>\n")]
    [InlineData("Helpful-Harmless", "\n\nHuman: Hi!\n\nAssistant:", " Hello.<|endoftext|>")]
    public void An_example_ends_its_completions_as_the_template_does(string name, string prompt, string completion)
    {
        var tokenizer = Tokenizer();
        var example = new ExampleTokenizer(tokenizer, chatTemplate: Template(name)).Tokenize(Example(Chat[1..2]), new DataReport())!;
        Assert.Equal(prompt, tokenizer.Decode(example.Prompt));
        Assert.Equal(completion, tokenizer.Decode(example.Completions[0]));
        Assert.Equal(completion.Replace("Hello.", "No.", StringComparison.Ordinal), tokenizer.Decode(example.Completions[1]));
    }

    [Fact]
    public void A_conversation_needs_a_template_that_knows_its_roles_and_plain_text_needs_none()
    {
        var tokenizer = Tokenizer();
        var e = Assert.Throws<InvalidInputException>(() => new ExampleTokenizer(tokenizer).Tokenize(Example(Chat[..2]), new DataReport()));
        Assert.Equal("chat.jsonl:1: the example holds the messages of a chat; name the chat template that the model was trained with.", e.Message);

        var report = new DataReport();
        report.CountRead();
        var withTemplate = new ExampleTokenizer(tokenizer, chatTemplate: ChatTemplate.HelpfulHarmless);
        Assert.Null(withTemplate.Tokenize(Example(Chat[..2]), report));
        Assert.Equal("read 1 rows; used 0; dropped 1: a role that the chat template has no place for (chat.jsonl:1)", report.ToString());

        var plain = new PreferenceExample("a", "b", "c");
        Assert.Equal(
            new ExampleTokenizer(tokenizer).Tokenize(plain, report)!.Completions, withTemplate.Tokenize(plain, report)!.Completions);
    }

    private static PreferenceExample Example(ChatMessage[] prompt) => new("", "c", "r")
    {
        Source = "chat.jsonl:1",
        Conversation = new Conversation(prompt, [[new("assistant", "Hello.")], [new("assistant", "No.")]]),
    };

    private static ChatTemplate Template(string name) =>
        new[] { ChatTemplate.ChatMl, ChatTemplate.Llama3, ChatTemplate.Zephyr, ChatTemplate.HelpfulHarmless }.Single(template => template.Name == name);

    private static string Text(IEnumerable<ChatSegment> segments) =>
        string.Concat(segments.Select(segment => segment.Kind == ChatSegmentKind.EndOfText ? "</s>" : segment.Text));

    private static TextTokenizer Tokenizer()
    {
        var json = TokenizerStyles.TokenizerJson("llama3");
        var added = json["added_tokens"]!.AsArray();
        var next = added.Max(token => (int)token!["id"]!) + 1;
        foreach (var token in new[] { "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" })
            added.Add(new JsonObject { ["id"] = next++, ["content"] = token, ["special"] = true });
        return TokenizerStyles.Load(json);
    }
}
