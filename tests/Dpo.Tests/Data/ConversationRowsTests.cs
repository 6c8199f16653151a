namespace Dpo.Tests;

public sealed class ConversationRowsTests : IDisposable
{
    private const string User = """{"role": "user", "content": "q"}""";
    private const string Good = """{"role": "assistant", "content": "good", "name": "x"}""";
    private const string Bad = """{"role": "assistant", "content": "bad"}""";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""")]
    [InlineData($$"""{"chosen": [{{User}}, {{Good}}], "rejected": [{{User}}, {{Bad}}]}""")]
    [InlineData($$"""{"prompt": "q", "chosen": [{{User}}, {{Good}}], "rejected": [{{User}}, {{Bad}}]}""")]
    [InlineData($$"""{"prompt": [{{User}}], "completions": [[{{Good}}], [{{Bad}}]], "ranking": [0, 1]}""")]
    public void A_prompt_is_explicit_or_the_messages_in_common(string row)
    {
        var example = Assert.Single(Read(row, out _));
        Assert.Equal([new ChatMessage("user", "q")], example.Conversation!.Prompt);
        Assert.Equal([new ChatMessage("assistant", "good")], example.Conversation.Completions[0]);
        Assert.Equal([new ChatMessage("assistant", "bad")], example.Conversation.Completions[1]);
        Assert.Equal("""[{"role":"user","content":"q"}]""", example.Prompt);
        Assert.Equal("""[{"role":"assistant","content":"bad"}]""", example.Completions[1]);
        Assert.Equal([new PreferencePair(0, 1)], example.Pairs);
        Assert.Equal("chat.jsonl:1", example.Source);
    }

    [Fact]
    public void Answers_are_scored_ranked_and_labelled_as_texts_are()
    {
        var scored = Assert.Single(Read($$"""{"prompt": "q", "chosen": [{{User}}, {{Good}}], "rejected": [{{User}}, {{Bad}}], "score_chosen": 8, "score_rejected": 2.5}""", out _));
        Assert.Equal([8f, 2.5f], scored.Scores);
        var ranked = Assert.Single(Read($$"""{"prompt": [{{User}}], "completions": [[{{Bad}}], [{{Good}}]], "ranking": [1, 0]}""", out _));
        Assert.Equal([1, 0], ranked.Ranking);
        Assert.Equal([new PreferencePair(1, 0)], ranked.Pairs);
        Assert.Equal("good", ranked.Conversation!.Completions[1][0].Content);
        var labelled = Assert.Single(Read($$"""{"prompt": [{{User}}], "completion": [{{Bad}}], "label": false}""", out _));
        Assert.Equal([false], labelled.Labels);
        Assert.Empty(labelled.Pairs);
        Assert.Equal("bad", Assert.Single(labelled.Conversation!.Completions)[0].Content);
    }

    [Fact]
    public void Messages_in_common_may_be_several_and_the_answers_too()
    {
        var example = Assert.Single(Read($$"""{"chosen": [{{User}}, {{Good}}, {{User}}, {{Good}}, {{User}}], "rejected": [{{User}}, {{Good}}, {{User}}, {{Bad}}]}""", out _));
        Assert.Equal(["q", "good", "q"], example.Conversation!.Prompt.Select(message => message.Content));
        Assert.Equal([2, 1], example.Conversation.Completions.Select(completion => completion.Count));
    }

    [Theory]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{{Good}}], "rejected": "bad"}""", "'rejected' is not a list of messages")]
    [InlineData($$"""{"prompt": "q", "chosen": [{{Good}}], "rejected": [{{Bad}}]}""", "the conversations do not begin with the prompt")]
    [InlineData($$"""{"prompt": "other", "chosen": [{{User}}, {{Good}}], "rejected": [{{User}}, {{Bad}}]}""", "the conversations do not begin with the prompt")]
    [InlineData($$"""{"prompt": [{{User}}], "completion": "good", "label": true}""", "a completion is not a list of messages")]
    [InlineData($$"""{"prompt": [{{User}}], "completions": [[{{Good}}], [{{Good}}]], "ranking": [0, 1]}""", "identical completions")]
    [InlineData($$"""{"prompt": [], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""", "'prompt' is not a list of messages")]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{{Good}}]}""", "no field 'rejected'")]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": ["good"], "rejected": [{{Bad}}]}""", "no field 'role'")]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{"role": "assistant", "content": [1]}], "rejected": [{{Bad}}]}""", "'content' is not a text")]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{{Good}}], "rejected": [{{Good}}]}""", "identical completions")]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{{Good}}], "rejected": [{"role": "assistant", "content": " "}]}""", "empty completion")]
    [InlineData($$"""{"prompt": [{{User}}], "chosen": [{{User}}], "rejected": [{{Bad}}]}""", "a completion does not begin with the assistant")]
    [InlineData($$"""{"prompt": [{{User}}, {{Good}}], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""", "the prompt ends with the assistant")]
    [InlineData($$"""{"chosen": [{{Good}}], "rejected": [{{Bad}}]}""", "the conversations have no prompt in common")]
    public void A_bad_row_is_counted_by_its_reason(string row, string reason)
    {
        Assert.Empty(Read(row, out var report));
        Assert.Equal($"read 1 rows; used 0; dropped 1: {reason} (chat.jsonl:1)", report.ToString());
    }

    [Fact]
    public void A_conversation_that_goes_on_longer_parts_before_the_last_message_in_common()
    {
        // As TRL does: otherwise the shorter completion would be empty.
        var example = Assert.Single(Read($$"""{"chosen": [{{User}}, {{Good}}, {{User}}], "rejected": [{{User}}, {{Good}}]}""", out _));
        Assert.Single(example.Conversation!.Prompt);
        Assert.Equal([2, 1], example.Conversation.Completions.Select(completion => completion.Count));
    }

    [Fact]
    public void Conversations_of_one_prompt_become_one_example()
    {
        var row = $$"""{"prompt": [{{User}}], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""";
        var plain = new PreferenceExample("""[{"role":"user","content":"q"}]""", "a", "b");
        var examples = Read($"{row}\n{row.Replace("bad", "worse", StringComparison.Ordinal)}", out _).Append(plain).GroupByPrompt().ToList();
        Assert.Equal(2, examples.Count);
        Assert.Equal([new(0, 1), new(0, 2)], examples[0].Pairs);
        Assert.Equal(["good", "bad", "worse"], examples[0].Conversation!.Completions.Select(completion => completion[0].Content));
        Assert.Equal(3, examples[0].Completions.Count);
        Assert.Null(examples[1].Conversation);
    }

    [Theory]
    // Common beginning, less a space; TRL's documented example first.
    [InlineData("The sky is blue.", "The sky is green.", "The sky is", " blue.", " green.")]
    [InlineData("ab", "ac", "a", "b", "c")]
    [InlineData("a  b", "a  c", "a ", " b", " c")]
    [InlineData("abc", "ab", "a", "bc", "b")]
    [InlineData("a bc", "a b", "a ", "bc", "b")]
    [InlineData("b", "c", "", "b", "c")]
    [InlineData("x \U0001F600", "x \U0001F601", "x", " \U0001F600", " \U0001F601")]
    [InlineData("x\U0001F600y", "x\U0001F600", "x", "\U0001F600y", "\U0001F600")]
    public void The_prompt_of_texts_is_what_they_have_in_common(string chosen, string rejected, string prompt, string chosenRest, string rejectedRest)
    {
        var row = $"{{\"chosen\": \"{chosen}\", \"rejected\": \"{rejected}\"}}";
        var example = Assert.Single(Read(row, out _));
        Assert.Equal((prompt, chosenRest, rejectedRest), (example.Prompt, example.Completions[0], example.Completions[1]));
        Assert.Null(example.Conversation);
    }

    private List<PreferenceExample> Read(string rows, out DataReport report)
    {
        report = new DataReport();
        return [.. PreferenceFile.Read(folder.Write("chat.jsonl", rows), report)];
    }
}
