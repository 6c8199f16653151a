namespace Dpo.Tokenization.ChatTemplates;

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

/// <summary>A piece of a rendered chat, which a tokenizer encodes.</summary>
public readonly record struct ChatSegment
{
    private ChatSegment(ChatSegmentKind kind, string text)
    {
        Kind = kind;
        Text = text;
    }

    /// <summary>The tokenizer's end-of-text token.</summary>
    public static ChatSegment EndOfText { get; } = new(ChatSegmentKind.EndOfText, "");

    /// <summary>What it is.</summary>
    public ChatSegmentKind Kind { get; }

    /// <summary>Its text, or the special token's spelling; empty for the end of text.</summary>
    public string Text { get; }

    /// <summary>Text that becomes no special token, whatever it spells.</summary>
    /// <param name="text">The text; may be empty.</param>
    public static ChatSegment OfText(string text) =>
        new(ChatSegmentKind.Text, text ?? throw new ArgumentNullException(nameof(text)));

    /// <summary>A special token; a tokenizer without it refuses the chat by name.</summary>
    /// <param name="token">Its spelling, such as <c>&lt;|im_end|&gt;</c>.</param>
    public static ChatSegment Special(string token)
    {
        ArgumentException.ThrowIfNullOrEmpty(token);
        return new ChatSegment(ChatSegmentKind.Special, token);
    }
}
