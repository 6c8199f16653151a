using Dpo.LogProbs;

namespace Dpo.Generation;

/// <summary>Why a completion ended.</summary>
public enum StopReason
{
    /// <summary>It has <see cref="SamplingOptions.MaxNewTokens"/> tokens.</summary>
    Length,

    /// <summary>Its last token is one of <see cref="SamplingOptions.EndOfTextIds"/>.</summary>
    EndOfText,

    /// <summary>Its text holds one of <see cref="SamplingOptions.StopStrings"/>.</summary>
    StopString,
}

/// <summary>A completion that was sampled.</summary>
public sealed record SampledCompletion
{
    /// <summary>Its prompt's place among the prompts, from 0.</summary>
    public required int PromptIndex { get; init; }

    /// <summary>Its place among the prompt's samples, from 0.</summary>
    public required int SampleIndex { get; init; }

    /// <summary>All tokens that were sampled: with the end-of-text token, or those of the stop string, that ended it.</summary>
    public required IReadOnlyList<int> Tokens { get; init; }

    /// <summary>log p of each token, of the same count: the model's own over its whole vocabulary, before penalty, temperature,
    /// top-k and top-p, and before ids without a token are left out. They are what <see cref="CompletionLogProbs"/> computes, to
    /// rounding.</summary>
    public required IReadOnlyList<float> LogProbs { get; init; }

    /// <summary>Why it ended.</summary>
    public required StopReason StopReason { get; init; }

    /// <summary>The tokens' text without special tokens and without what begins at a stop string; null where no tokenizer was
    /// given.</summary>
    public string? Text { get; init; }
}

/// <summary>A token that was just sampled.</summary>
public readonly record struct GeneratedToken
{
    /// <summary>Its prompt's place among the prompts.</summary>
    public required int PromptIndex { get; init; }

    /// <summary>Its place among the prompt's samples.</summary>
    public required int SampleIndex { get; init; }

    /// <summary>The id.</summary>
    public required int Token { get; init; }

    /// <summary>Its log-probability, as in <see cref="SampledCompletion.LogProbs"/>.</summary>
    public required float LogProb { get; init; }

    /// <summary>The text that became certain with it: whole characters, and nothing that may yet turn out to begin a stop string.
    /// A completion's pieces together are its <see cref="SampledCompletion.Text"/>. Empty where no tokenizer was given.</summary>
    public required string Text { get; init; }
}
