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
/// <param name="PromptIndex">Its prompt's place among the prompts, from 0.</param>
/// <param name="SampleIndex">Its place among the prompt's samples, from 0.</param>
/// <param name="Tokens">All tokens that were sampled: with the end-of-text token, or those of the stop string, that ended it.</param>
/// <param name="LogProbs">log p of each token, of the same count: the model's own over its whole vocabulary, before penalty,
/// temperature, top-k and top-p, and before ids without a token are left out. They are what <see cref="CompletionLogProbs"/>
/// computes, to rounding.</param>
/// <param name="StopReason">Why it ended.</param>
/// <param name="Text">The tokens' text without special tokens and without what begins at a stop string; null where no tokenizer
/// was given.</param>
public sealed record SampledCompletion(
    int PromptIndex, int SampleIndex, IReadOnlyList<int> Tokens, IReadOnlyList<float> LogProbs, StopReason StopReason, string? Text);

/// <summary>A token that was just sampled.</summary>
/// <param name="PromptIndex">Its prompt's place among the prompts.</param>
/// <param name="SampleIndex">Its place among the prompt's samples.</param>
/// <param name="Token">The id.</param>
/// <param name="LogProb">Its log-probability, as in <see cref="SampledCompletion.LogProbs"/>.</param>
/// <param name="Text">The text that became certain with it: whole characters, and nothing that may yet turn out to begin a stop
/// string. A completion's pieces together are its <see cref="SampledCompletion.Text"/>. Empty where no tokenizer was given.</param>
public readonly record struct GeneratedToken(int PromptIndex, int SampleIndex, int Token, float LogProb, string Text);
