using Dpo.Native;
using Dpo.Tokenization;

namespace Dpo.Generation;

/// <summary>A completion while it grows.</summary>
internal sealed class SampledSequence
{
    private readonly SampledPrompt prompt;
    private readonly int sampleIndex;
    private readonly SamplingOptions options;
    private readonly IReadOnlyList<int> endOfTextIds;
    private readonly CompletionText? text;
    private readonly Action<GeneratedToken>? onToken;
    private readonly List<int> tokens = [];
    private readonly List<float> logProbs = [];
    private StopReason? stopReason;
    private int draws;

    public SampledSequence(
        SampledPrompt prompt, int sampleIndex, SamplingOptions options, IReadOnlyList<int> endOfTextIds, TextTokenizer? tokenizer,
        Action<GeneratedToken>? onToken)
    {
        (this.prompt, this.sampleIndex, this.options, this.endOfTextIds, this.onToken) = (
            prompt, sampleIndex, options, endOfTextIds, onToken);
        text = tokenizer is null ? null : new CompletionText(tokenizer, options.StopStrings);
    }

    /// <summary>Its prompt.</summary>
    public SampledPrompt Prompt => prompt;

    /// <summary>Its place in the result, which numbers its draws too.</summary>
    public long Index => ((long)prompt.Index * options.SamplesPerPrompt) + sampleIndex;

    /// <summary>The tokens of prompt and completion so far, on which a repetition penalty falls.</summary>
    public IEnumerable<int> Seen => prompt.Tokens.Concat(tokens);

    /// <summary>Whether the last token that may be drawn has been, though it may not have been told yet.</summary>
    public bool IsFull => draws == options.MaxNewTokens;

    /// <summary>The number from 0 to 1 that decides the next token, once for each.</summary>
    public float TakeUniform() => CounterRandom.Uniform(options.Seed, Index, draws++);

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
        onToken?.Invoke(new GeneratedToken
        {
            PromptIndex = prompt.Index,
            SampleIndex = sampleIndex,
            Token = token,
            LogProb = logProb,
            Text = text?.TakeCertain(stopReason is not null) ?? "",
        });
        return stopReason is not null;
    }

    /// <summary>The completion, once it has ended.</summary>
    public SampledCompletion ToCompletion() => new()
    {
        PromptIndex = prompt.Index,
        SampleIndex = sampleIndex,
        Tokens = tokens,
        LogProbs = logProbs,
        StopReason = stopReason!.Value,
        Text = text?.Value,
    };
}
