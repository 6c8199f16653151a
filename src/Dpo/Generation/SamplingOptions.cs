using Dpo.Tokenization;

namespace Dpo.Generation;

/// <summary>How tokens are drawn and when a completion ends. The defaults draw from the model's own distribution.</summary>
/// <remarks>
/// The next token's logits go through what is asked for in the order of transformers: repetition penalty, temperature, top-k,
/// top-p; what is left is renormalized and drawn from. Where a tokenizer is given, only ids that it has a token for are drawn.
/// </remarks>
public sealed record SamplingOptions
{
    /// <summary>The most tokens of a completion, the end-of-text token included; at least 1.</summary>
    public int MaxNewTokens { get; init; } = 128;

    /// <summary>What the logits are divided by; 0 or more. 0 takes the likeliest token each time (greedy), and top-k and top-p
    /// have nothing to choose from.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only this many of the likeliest tokens are drawn from; at least 1, null for all. Where several are equally likely
    /// at the border, as many as fit are taken.</summary>
    public int? TopK { get; init; }

    /// <summary>Only the likeliest tokens whose probabilities together reach this are drawn from, the likeliest always (nucleus
    /// sampling, Holtzman et al. 2020); above 0, at most 1, which is all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Divides the positive logits of tokens that prompt or completion hold already and multiplies the negative ones
    /// (Keskar et al. 2019); above 0, 1 for none, more than 1 against repetition.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Tokens that end a completion, of which they are the last. Null, the default: all at which the
    /// model's files have it stop (<see cref="TextTokenizer.StopIds"/>) where there is a tokenizer, else none.</summary>
    public IReadOnlyList<int>? EndOfTextIds { get; init; }

    /// <summary>Texts that end a completion, wherever tokens begin and end within them; none may be empty. They need a
    /// tokenizer.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Completions of every prompt; at least 1. The prompt is computed, and kept, once for all of them.</summary>
    public int SamplesPerPrompt { get; init; } = 1;

    /// <summary>The most completions that are computed at once; at least 1. Bounds memory: keys and values are kept for each of
    /// them, and of prompts also for those that come next, an eighth of that; and a row of logits for each.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Seeds the draws.</summary>
    public int Seed { get; init; }

    /// <summary>Refuses values outside their ranges.</summary>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxNewTokens, 1);
        if (!(Temperature >= 0 && double.IsFinite(Temperature)))
            throw new ArgumentOutOfRangeException(
                nameof(Temperature), Temperature, "The temperature must be a finite number of at least 0.");
        ArgumentOutOfRangeException.ThrowIfLessThan(TopK ?? 1, 1, nameof(TopK));
        if (!(TopP is > 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(TopP), TopP, "The probability of top-p must be above 0 and at most 1.");
        if (!(RepetitionPenalty > 0 && double.IsFinite(RepetitionPenalty)))
            throw new ArgumentOutOfRangeException(
                nameof(RepetitionPenalty), RepetitionPenalty, "The repetition penalty must be a finite number above 0.");
        ArgumentOutOfRangeException.ThrowIfLessThan(SamplesPerPrompt, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        if (StopStrings.Any(string.IsNullOrEmpty))
            throw new ArgumentException(
                "A stop string is empty, and would end every completion before it begins.", nameof(StopStrings));
    }
}
