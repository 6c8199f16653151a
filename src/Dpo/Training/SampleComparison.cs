namespace Dpo;

/// <summary>What the policy and the reference say to the same prompt.</summary>
/// <param name="Prompt">The prompt's text.</param>
/// <param name="Policy">The policy's completion.</param>
/// <param name="Reference">The reference's, drawn with the same random numbers.</param>
public sealed record ComparedSample(string Prompt, string Policy, string Reference);

/// <summary>Has policy and reference continue the same prompts, so that one can read what training changes.</summary>
/// <remarks>Nothing else is disturbed: the draws are the sampler's own, and the same each time unless a model has changed.</remarks>
public sealed class SampleComparison
{
    private readonly PolicyReferencePair pair;
    private readonly TextTokenizer tokenizer;
    private readonly IReadOnlyList<IReadOnlyList<int>> prompts;
    private readonly SamplingOptions options;

    /// <summary>Prepares the comparison.</summary>
    /// <param name="pair">The models, <see cref="Transformer"/>s; they stay the caller's to dispose.</param>
    /// <param name="tokenizer">Their tokenizer.</param>
    /// <param name="prompts">The prompts' tokens, such as <see cref="TokenizedExample.Prompt"/> of a few examples.</param>
    /// <param name="options">How to draw; by default, greedily up to 128 tokens.</param>
    /// <exception cref="ArgumentException">A model cannot be sampled from, or an option is outside its range.</exception>
    /// <exception cref="InvalidInputException">A prompt cannot be continued; see <see cref="Sampler"/>.</exception>
    public SampleComparison(
        PolicyReferencePair pair, TextTokenizer tokenizer, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(prompts);
        (this.pair, this.tokenizer, this.prompts) = (pair, tokenizer, prompts);
        this.options = options ?? new SamplingOptions { Temperature = 0 };
        this.options.Validate();
        // Now, and not at the first evaluation, hours later.
        foreach (var model in (CausalLanguageModel[])[pair.Policy, pair.ReferenceModel])
        {
            Sampler.Check(
                model as Transformer ?? throw new ArgumentException($"A {model.GetType().Name} cannot be sampled from; only a Transformer can.", nameof(pair)),
                prompts, this.options, tokenizer);
        }
    }

    /// <summary>Samples from both as they are now.</summary>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>The first prompt's <see cref="SamplingOptions.SamplesPerPrompt"/> samples, then the next's.</returns>
    /// <exception cref="InvalidOperationException">The reference was released, or the policy's adapter is merged.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IReadOnlyList<ComparedSample> Draw(CancellationToken cancellation = default)
    {
        var ofReference = pair.WithReference(model => Sample(model, cancellation));
        return [.. Sample(pair.Policy, cancellation).Zip(ofReference, (policy, reference) =>
            new ComparedSample(tokenizer.Decode(prompts[policy.PromptIndex]), policy.Text!, reference.Text!))];
    }

    private IReadOnlyList<Generation> Sample(CausalLanguageModel model, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        return Sampler.Sample((Transformer)model, prompts, options, tokenizer);
    }
}
