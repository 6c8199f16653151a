namespace Dpo;

/// <summary>A completion while it grows.</summary>
internal sealed class SampledSequence
{
    private readonly IReadOnlyList<int> prompt;
    private readonly SamplingOptions options;
    private readonly IReadOnlyList<int> endOfTextIds;
    private readonly CompletionText? text;
    private readonly Action<GeneratedToken>? onToken;
    private readonly int sampleIndex;
    private readonly List<int> tokens = [];
    private readonly List<float> logProbs = [];
    private StopReason? stopReason;

    public SampledSequence(
        int promptIndex, int sampleIndex, IReadOnlyList<int> prompt, SamplingOptions options, IReadOnlyList<int> endOfTextIds, TextTokenizer? tokenizer,
        Action<GeneratedToken>? onToken)
    {
        (PromptIndex, this.sampleIndex, this.prompt, this.options, this.endOfTextIds, this.onToken) = (promptIndex, sampleIndex, prompt, options, endOfTextIds, onToken);
        text = tokenizer is null ? null : new CompletionText(tokenizer, options.StopStrings);
    }

    /// <summary>Its prompt's place among the prompts.</summary>
    public int PromptIndex { get; }

    /// <summary>The tokens of prompt and completion so far, on which a repetition penalty falls.</summary>
    public IEnumerable<int> Seen => prompt.Concat(tokens);

    /// <summary>The number from 0 to 1 that decides the next token.</summary>
    public float NextUniform => CounterRandom.Uniform(options.Seed, ((long)PromptIndex * options.SamplesPerPrompt) + sampleIndex, tokens.Count);

    /// <summary>Adds a token.</summary>
    /// <returns>Whether it was the last.</returns>
    public bool Append(int token, float logProb)
    {
        tokens.Add(token);
        logProbs.Add(logProb);
        if (endOfTextIds.Contains(token))
            stopReason = StopReason.EndOfText;
        else if (tokens.Count == options.MaxNewTokens)
            stopReason = StopReason.Length;

        // Decoding is left to the end where nobody asks before.
        if (text is not null && (stopReason is not null || onToken is not null || options.StopStrings.Count > 0))
        {
            text.Read(tokens);
            if (text.IsStopped)
                stopReason = StopReason.StopString;
        }
        onToken?.Invoke(new GeneratedToken(PromptIndex, sampleIndex, token, logProb, text?.TakeCertain(stopReason is not null) ?? ""));
        return stopReason is not null;
    }

    /// <summary>The completion, once it has ended.</summary>
    public Generation ToGeneration() => new(PromptIndex, sampleIndex, tokens, logProbs, stopReason!.Value, text?.Value);
}
