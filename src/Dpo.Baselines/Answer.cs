namespace Dpo.Baselines;

/// <summary>A completion to be scored, with what it continues: as tokens, and as text where there is a tokenizer.</summary>
public sealed record Answer
{
    /// <summary>The prompt's ids, one or more.</summary>
    public required IReadOnlyList<int> PromptIds { get; init; }

    /// <summary>The completion's ids, one or more; the token that ended it is the last of them, where one did.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>The prompt's text, without special tokens, such as that of the beginning of text; null where there is no
    /// tokenizer.</summary>
    public string? Prompt { get; init; }

    /// <summary>The completion's text, without special tokens; null where there is no tokenizer.</summary>
    public string? Text { get; init; }
}
