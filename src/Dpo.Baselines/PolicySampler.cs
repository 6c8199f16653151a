using Dpo.Generation;
using Dpo.Tokenization;
using Dpo.Training;

namespace Dpo.Baselines;

/// <summary>The policy writes all completions.</summary>
public sealed class PolicySampler : IRoundSampler
{
    /// <inheritdoc/>
    public string Description => nameof(PolicySampler);

    /// <inheritdoc/>
    public IReadOnlyList<SampledCompletion> Sample(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions sampling, TextTokenizer? tokenizer,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(pair);
        return Sampler.Sample(pair.Policy, prompts, sampling, tokenizer, onToken: null, cancellationToken);
    }
}
