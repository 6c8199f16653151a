using Dpo.Files;

namespace Dpo.Evaluation.Judging;

/// <summary>Two completions of a prompt, of which a judge is to say the better one.</summary>
/// <param name="Prompt">What both continue: a post, a conversation, an article; may be empty.</param>
/// <param name="First">The completion that verdicts are about, such as the policy's.</param>
/// <param name="Second">The one that it is compared with, such as the reference's or a human's.</param>
public sealed record Comparison(string Prompt, string First, string Second)
{
    private const int IdLength = 16;

    private readonly string? id;

    /// <summary>What the comparison goes by. By default 16 hexadecimal digits that follow from its texts, so that equal
    /// comparisons are one, which is asked once; ids of your own keep them apart.</summary>
    public string Id
    {
        get => id ?? Digest[..IdLength];
        init => id = value;
    }

    /// <summary>A text that is known to be good, which a <see cref="ReferenceJudge"/> measures both completions by; null for
    /// none.</summary>
    public string? Reference { get; init; }

    /// <summary>The same, the other way round.</summary>
    internal Comparison Reversed => this with { First = Second, Second = First, Id = Id };

    /// <summary>A digest of the texts, as hexadecimal digits.</summary>
    internal string Digest
    {
        get
        {
            using var digest = new Digest();
            foreach (var text in (string[])[Prompt, First, Second, .. Reference is null ? [] : new[] { Reference }])
                digest.Append(text);
            return digest.EndAsText();
        }
    }
}
