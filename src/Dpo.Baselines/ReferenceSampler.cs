using Dpo.Generation;
using Dpo.Tokenization;
using Dpo.Training;

namespace Dpo.Baselines;

/// <summary>The policy writes the first half of a prompt's completions and the reference the second (XPO, Xie et al. 2024), whose
/// draws are others.</summary>
public sealed class ReferenceSampler : IRoundSampler
{
    /// <inheritdoc/>
    public string Description => nameof(ReferenceSampler);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The number of samples is odd.</exception>
    public IReadOnlyList<SampledCompletion> Sample(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions sampling, TextTokenizer? tokenizer,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(pair);
        return Halves.Sample(
            sampling,
            half => Sampler.Sample(pair.Policy, prompts, half, tokenizer, onToken: null, cancellationToken),
            half => pair.WithReference(
                model => Sampler.Sample(model, prompts, half, tokenizer, onToken: null, cancellationToken)));
    }
}
