namespace Dpo.Data;

/// <summary>A message of a chat.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c> or <c>assistant</c>.</param>
/// <param name="Content">What is said.</param>
public sealed record ChatMessage(string Role, string Content)
{
    /// <summary>The role of the model.</summary>
    public const string Assistant = "assistant";

    /// <summary>The role of what is said to it beforehand.</summary>
    internal const string System = "system";

    /// <summary>The role of who talks to it.</summary>
    public const string User = "user";
}

/// <summary>A preference between answers in a chat: what <see cref="PreferenceExample.Conversation"/> holds.</summary>
/// <remarks>How messages are written down for a model is not said here: a <c>ChatTemplate</c> does that.</remarks>
/// <param name="Prompt">The messages up to the answer; the last one is not the assistant's.</param>
/// <param name="Completions">The answers, each of one or more messages, of which the first is the assistant's.</param>
public sealed record Conversation(IReadOnlyList<ChatMessage> Prompt, IReadOnlyList<IReadOnlyList<ChatMessage>> Completions);
