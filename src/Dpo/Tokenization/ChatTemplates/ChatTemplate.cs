using Dpo.Data;
using static Dpo.Tokenization.ChatTemplates.ChatSegment;

namespace Dpo.Tokenization.ChatTemplates;

/// <summary>
/// How a family of models has the messages of a chat written down. Use the one that the model was trained with.
/// </summary>
/// <remarks>
/// <para>A chat is rendered to segments and not to a string, because content is written by others: <c>&lt;|im_end|&gt;</c> within
/// a message must stay text and not end it. The formats are those of the Jinja templates that models come with, less their
/// tools, dates and default system messages: what is not among the messages is not in the rendered chat.</para>
/// <para>Roles are <c>system</c>, <c>user</c> and <c>assistant</c>.</para>
/// <para>A format of your own, here Gemma's:</para>
/// <code>
/// var gemma = new ChatTemplate("Gemma")
/// {
///     Roles = ["user", "assistant"],
///     Beginning = [ChatSegment.Special("&lt;bos&gt;")],
///     Header = role =>
///         [ChatSegment.Special("&lt;start_of_turn&gt;"), ChatSegment.OfText(role == "user" ? "user\n" : "model\n")],
///     Content = text => text.Trim(),
///     End = [ChatSegment.Special("&lt;end_of_turn&gt;"), ChatSegment.OfText("\n")],
/// };
/// </code>
/// </remarks>
public sealed class ChatTemplate
{
    /// <summary>Creates a format that writes contents as they are, with nothing around them.</summary>
    /// <param name="name">Its name, which messages of errors give.</param>
    public ChatTemplate(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Name = name;
    }

    /// <summary>ChatML, as in Qwen and many others: <c>&lt;|im_start|&gt;user⏎…&lt;|im_end|&gt;⏎</c>.</summary>
    public static ChatTemplate ChatMl { get; } = new("ChatML")
    {
        Header = role => [Special("<|im_start|>"), OfText($"{role}\n")],
        End = [Special("<|im_end|>"), OfText("\n")],
    };

    /// <summary>Llama 3's: <c>&lt;|begin_of_text|&gt;</c> once, then
    /// <c>&lt;|start_header_id|&gt;user&lt;|end_header_id|&gt;⏎⏎…&lt;|eot_id|&gt;</c>. White space around a content is left
    /// out.</summary>
    public static ChatTemplate Llama3 { get; } = new("Llama 3")
    {
        Beginning = [Special("<|begin_of_text|>")],
        Header = role => [Special("<|start_header_id|>"), OfText(role), Special("<|end_header_id|>"), OfText("\n\n")],
        Content = content => content.Trim(),
        End = [Special("<|eot_id|>")],
    };

    /// <summary>Zephyr's: <c>&lt;|user|&gt;⏎…</c>, the end of text, and a newline. The marks of the roles are plain
    /// text.</summary>
    public static ChatTemplate Zephyr { get; } = new("Zephyr")
    {
        Header = role => [OfText($"<|{role}|>\n")],
        End = [EndOfText, OfText("\n")],
    };

    /// <summary>Anthropic's Helpful and Harmless data: <c>⏎⏎Human: …⏎⏎Assistant: …</c>, plain text throughout; there is no system
    /// message. The end of text is put behind the completions, as behind those of plain text.</summary>
    public static ChatTemplate HelpfulHarmless { get; } = new("Helpful-Harmless")
    {
        Roles = ["user", ChatMessage.Assistant],
        Header = role => [OfText(
            role == ChatMessage.Assistant ? HelpfulHarmlessTranscripts.AssistantTurn : HelpfulHarmlessTranscripts.HumanTurn)],
        Content = content => " " + content,
    };

    /// <summary>The name of the format.</summary>
    public string Name { get; }

    /// <summary>The roles that it has a place for; all three by default. Others are refused by name.</summary>
    public IReadOnlyList<string> Roles { get; init; } = ["system", "user", ChatMessage.Assistant];

    /// <summary>What stands once in front of the first message; nothing by default.</summary>
    public IReadOnlyList<ChatSegment> Beginning { get; init; } = [];

    /// <summary>What opens the turn of a role; nothing by default.</summary>
    public Func<string, IReadOnlyList<ChatSegment>> Header { get; init; } = _ => [];

    /// <summary>What becomes of a message's text; it stays as it is by default.</summary>
    public Func<string, string> Content { get; init; } = content => content;

    /// <summary>What ends a turn; nothing by default, and the end of text is then put behind a completion.</summary>
    public IReadOnlyList<ChatSegment> End { get; init; } = [];

    /// <summary>Whether something of the format stands behind an answer; else the end of text is put there.</summary>
    internal bool EndsTurns => End.Count > 0;

    /// <summary>Writes messages down.</summary>
    /// <param name="messages">The messages, in order.</param>
    /// <param name="generationPrompt">Whether the assistant's turn is opened behind them: what a model then writes is its
    /// answer.</param>
    /// <exception cref="InvalidInputException">The format has no such role.</exception>
    public IReadOnlyList<ChatSegment> Render(IReadOnlyList<ChatMessage> messages, bool generationPrompt = false)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var segments = new List<ChatSegment>(Beginning);
        foreach (var message in messages)
            segments.AddRange(Turn(message));
        if (generationPrompt)
            segments.AddRange(Header(ChatMessage.Assistant));
        return Join(segments);
    }

    /// <summary>Writes an answer down as it goes on behind a prompt that was rendered with the generation prompt.</summary>
    /// <param name="messages">One message of the assistant, and the messages behind it if there are any.</param>
    /// <exception cref="InvalidInputException">The first message is not the assistant's, or the format has no such
    /// role.</exception>
    public IReadOnlyList<ChatSegment> RenderCompletion(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages is not [{ Role: ChatMessage.Assistant } answer, ..])
            throw new InvalidInputException("The first message of a completion must be the assistant's.");
        var segments = new List<ChatSegment>([OfText(Content(answer.Content)), .. End]);
        foreach (var message in messages.Skip(1))
            segments.AddRange(Turn(message));
        return Join(segments);
    }

    /// <summary>Whether the format has a place for all these roles.</summary>
    internal bool Knows(IEnumerable<ChatMessage> messages) => messages.All(message => Roles.Contains(message.Role));

    private IEnumerable<ChatSegment> Turn(ChatMessage message) => Roles.Contains(message.Role)
        ? [.. Header(message.Role), OfText(Content(message.Content)), .. End]
        : throw new InvalidInputException(
            $"The chat template {Name} has no role '{message.Role}', but only {string.Join(", ", Roles)}.");

    /// <summary>Text beside text is one text, so that it is encoded as one.</summary>
    private static List<ChatSegment> Join(List<ChatSegment> segments)
    {
        var joined = new List<ChatSegment>();
        foreach (var segment in segments)
        {
            if (segment is { Kind: ChatSegmentKind.Text, Text: "" })
                continue;
            if (segment.Kind == ChatSegmentKind.Text && joined is [.., { Kind: ChatSegmentKind.Text } last])
                joined[^1] = OfText(last.Text + segment.Text);
            else
                joined.Add(segment);
        }
        return joined;
    }
}
