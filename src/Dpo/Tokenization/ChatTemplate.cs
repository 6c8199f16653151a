using Dpo.Data;

namespace Dpo.Tokenization;

/// <summary>What a piece of a rendered chat is.</summary>
public enum ChatSegmentKind
{
    /// <summary>Text. Whatever it spells, it becomes no special token.</summary>
    Text,

    /// <summary>A special token, by its spelling.</summary>
    Special,

    /// <summary>The tokenizer's end-of-text token, however it is spelled.</summary>
    EndOfText,
}

/// <summary>A piece of a rendered chat, which <see cref="TextTokenizer"/> encodes.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">Its text, or the special token's spelling; empty for <see cref="ChatSegmentKind.EndOfText"/>.</param>
public readonly record struct ChatSegment(ChatSegmentKind Kind, string Text);

/// <summary>
/// How a family of models has the messages of a chat written down. Use the one that the model was trained with.
/// </summary>
/// <remarks>
/// <para>A chat is rendered to segments and not to a string, because content is written by others: <c>&lt;|im_end|&gt;</c> within
/// a message must stay text and not end it. The formats are those of the Jinja templates that models come with, less their
/// tools, dates and default system messages: what is not among the messages is not in the rendered chat.</para>
/// <para>Roles are <c>system</c>, <c>user</c> and <c>assistant</c>.</para>
/// </remarks>
public sealed class ChatTemplate
{
    private static readonly string[] Roles = ["system", "user", ChatMessage.Assistant];

    private readonly ChatSegment[] beginning;
    private readonly Func<string, ChatSegment[]> header;
    private readonly Func<string, string> content;
    private readonly ChatSegment[] end;
    private readonly string[] roles;

    private ChatTemplate(string name, string[] roles, ChatSegment[] beginning, Func<string, ChatSegment[]> header, Func<string, string> content, ChatSegment[] end)
    {
        Name = name;
        this.roles = roles;
        this.beginning = beginning;
        this.header = header;
        this.content = content;
        this.end = end;
    }

    /// <summary>ChatML, as in Qwen and many others: <c>&lt;|im_start|&gt;user⏎…&lt;|im_end|&gt;⏎</c>.</summary>
    public static ChatTemplate ChatMl { get; } = new(
        "ChatML", Roles, [], role => [Special("<|im_start|>"), Text($"{role}\n")], content => content, [Special("<|im_end|>"), Text("\n")]);

    /// <summary>Llama 3's: <c>&lt;|begin_of_text|&gt;</c> once, then
    /// <c>&lt;|start_header_id|&gt;user&lt;|end_header_id|&gt;⏎⏎…&lt;|eot_id|&gt;</c>. White space around a content is left out.</summary>
    public static ChatTemplate Llama3 { get; } = new(
        "Llama 3", Roles, [Special("<|begin_of_text|>")],
        role => [Special("<|start_header_id|>"), Text(role), Special("<|end_header_id|>"), Text("\n\n")],
        content => content.Trim(), [Special("<|eot_id|>")]);

    /// <summary>Zephyr's: <c>&lt;|user|&gt;⏎…</c>, the end of text, and a newline. The marks of the roles are plain text.</summary>
    public static ChatTemplate Zephyr { get; } = new(
        "Zephyr", Roles, [], role => [Text($"<|{role}|>\n")], content => content, [new ChatSegment(ChatSegmentKind.EndOfText, ""), Text("\n")]);

    /// <summary>Anthropic's Helpful and Harmless data: <c>⏎⏎Human: …⏎⏎Assistant: …</c>, plain text throughout; there is no system
    /// message. The end of text is put behind the completions, as behind those of plain text.</summary>
    public static ChatTemplate HelpfulHarmless { get; } = new(
        "Helpful-Harmless", Roles[1..], [],
        role => [Text(role == ChatMessage.Assistant ? HelpfulHarmlessTranscripts.AssistantTurn : HelpfulHarmlessTranscripts.HumanTurn)],
        content => " " + content, []);

    /// <summary>The name of the format.</summary>
    public string Name { get; }

    /// <summary>Whether something of the format stands behind an answer; else the end of text is put there.</summary>
    internal bool EndsTurns => end.Length > 0;

    /// <summary>Writes messages down.</summary>
    /// <param name="messages">The messages, in order.</param>
    /// <param name="generationPrompt">Whether the assistant's turn is opened behind them: what a model then writes is its answer.</param>
    /// <exception cref="InvalidInputException">The format has no such role.</exception>
    public IReadOnlyList<ChatSegment> Render(IReadOnlyList<ChatMessage> messages, bool generationPrompt = false)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var segments = new List<ChatSegment>(beginning);
        foreach (var message in messages)
            segments.AddRange([.. Header(message.Role), Text(content(message.Content)), .. end]);
        if (generationPrompt)
            segments.AddRange(header(ChatMessage.Assistant));
        return Join(segments);
    }

    /// <summary>Writes an answer down as it goes on behind a prompt that was rendered with the generation prompt.</summary>
    /// <param name="messages">One message of the assistant, and the messages behind it if there are any.</param>
    /// <exception cref="InvalidInputException">The first message is not the assistant's, or the format has no such role.</exception>
    public IReadOnlyList<ChatSegment> RenderCompletion(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages is not [{ Role: ChatMessage.Assistant } answer, ..])
            throw new InvalidInputException("The first message of a completion must be the assistant's.");
        var segments = new List<ChatSegment> { Text(content(answer.Content)) };
        segments.AddRange(end);
        foreach (var message in messages.Skip(1))
            segments.AddRange([.. Header(message.Role), Text(content(message.Content)), .. end]);
        return Join(segments);
    }

    /// <summary>Whether the format has a place for all these roles.</summary>
    internal bool Knows(IEnumerable<ChatMessage> messages) => messages.All(message => roles.Contains(message.Role));

    private ChatSegment[] Header(string role) => roles.Contains(role)
        ? header(role)
        : throw new InvalidInputException($"The chat template {Name} has no role '{role}', but only {string.Join(", ", roles)}.");

    /// <summary>Text beside text is one text, so that it is encoded as one.</summary>
    private static List<ChatSegment> Join(List<ChatSegment> segments)
    {
        var joined = new List<ChatSegment>();
        foreach (var segment in segments)
        {
            if (segment is { Kind: ChatSegmentKind.Text, Text: "" })
                continue;
            if (segment.Kind == ChatSegmentKind.Text && joined is [.., { Kind: ChatSegmentKind.Text } last])
                joined[^1] = Text(last.Text + segment.Text);
            else
                joined.Add(segment);
        }
        return joined;
    }

    private static ChatSegment Text(string text) => new(ChatSegmentKind.Text, text);

    private static ChatSegment Special(string token) => new(ChatSegmentKind.Special, token);
}
