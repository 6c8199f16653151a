using Dpo.Generation;
using Dpo.Models;
using Dpo.Tokenization;

namespace Dpo.Training.Metrics;

/// <summary>What the policy and the reference say to the same prompt.</summary>
/// <param name="Prompt">The prompt's text.</param>
/// <param name="Policy">The policy's completion.</param>
/// <param name="Reference">The reference's, drawn with the same random numbers; null where there is no reference.</param>
public sealed record ComparedSample(string Prompt, string Policy, string? Reference);

/// <summary>Has policy and reference continue the same prompts, so that one can read what training changes.</summary>
/// <remarks>Nothing else is disturbed: the draws are the sampler's own, and the same each time unless a model has
/// changed.</remarks>
public sealed class SampleComparison
{
    private readonly CausalLanguageModel policy;
    private readonly PolicyReferencePair? pair;
    private readonly TextTokenizer tokenizer;
    private readonly IReadOnlyList<IReadOnlyList<int>> prompts;
    private readonly SamplingOptions options;

    /// <summary>Prepares the comparison.</summary>
    /// <param name="pair">The models; they stay the caller's to dispose.</param>
    /// <param name="tokenizer">Their tokenizer.</param>
    /// <param name="prompts">The prompts' tokens, such as <see cref="TokenizedExample.Prompt"/> of a few examples.</param>
    /// <param name="options">How to draw; by default, greedily up to 128 tokens.</param>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    /// <exception cref="InvalidInputException">A prompt cannot be continued; see <see cref="Sampler"/>.</exception>
    public SampleComparison(
        PolicyReferencePair pair, TextTokenizer tokenizer, IReadOnlyList<IReadOnlyList<int>> prompts,
        SamplingOptions? options = null)
        : this((pair ?? throw new ArgumentNullException(nameof(pair))).Policy, tokenizer, prompts, options)
    {
        this.pair = pair;
        Sampler.Check(pair.ReferenceModel, prompts, this.options, tokenizer);
    }

    /// <summary>Prepares samples of a policy that is trained without a reference; <see cref="ComparedSample.Reference"/> is
    /// null.</summary>
    /// <param name="policy">The model; it stays the caller's to dispose.</param>
    /// <param name="tokenizer">As for the other constructor, and so are the exceptions.</param>
    /// <param name="prompts">As for the other constructor.</param>
    /// <param name="options">As for the other constructor.</param>
    public SampleComparison(
        CausalLanguageModel policy, TextTokenizer tokenizer, IReadOnlyList<IReadOnlyList<int>> prompts,
        SamplingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(prompts);
        (this.tokenizer, this.prompts) = (tokenizer, prompts);
        this.options = options ?? new SamplingOptions { Temperature = 0 };
        this.options.Validate();
        this.policy = policy;
        // Prompts that the model cannot continue are refused now, and not at the first evaluation, hours later.
        Sampler.Check(policy, prompts, this.options, tokenizer);
    }

    /// <summary>Samples from both as they are now.</summary>
    /// <param name="cancellationToken">Stops the sampling before its next step.</param>
    /// <returns>The first prompt's <see cref="SamplingOptions.SamplesPerPrompt"/> samples, then the next's.</returns>
    /// <exception cref="InvalidOperationException">The reference was released, or the policy's adapter is merged.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public IReadOnlyList<ComparedSample> Draw(CancellationToken cancellationToken = default)
    {
        var ofReference = pair?.WithReference(model => Sample(model, cancellationToken));
        return [.. Sample(policy, cancellationToken).Select((sample, index) =>
            new ComparedSample(tokenizer.Decode(prompts[sample.PromptIndex]), sample.Text!, ofReference?[index].Text))];
    }

    private IReadOnlyList<SampledCompletion> Sample(CausalLanguageModel model, CancellationToken cancellationToken) =>
        Sampler.Sample(model, prompts, options, tokenizer, cancellationToken: cancellationToken);
}
