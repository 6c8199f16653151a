using System.Globalization;
using Dpo.Generation;
using Dpo.Tokenization;
using Dpo.Training;

namespace Dpo.Baselines;

/// <summary>The policy writes the first half of a prompt's completions and a geometric mixture of policy and reference the second
/// (Nash-MD, Munos et al. 2023): every token is drawn from π^(1 − m) · π_ref^m, made to sum to 1.</summary>
/// <remarks>The mixture has no cache of keys and values: each of its tokens computes the sequence anew, in both
/// models.</remarks>
/// <param name="share">m, from 0, the policy alone, to 1, the reference; TRL's <c>mixture_coef</c>, which is 0.5.</param>
/// <exception cref="ArgumentOutOfRangeException">It lies outside.</exception>
public sealed class MixtureSampler(double share = 0.5) : IRoundSampler
{
    /// <summary>m.</summary>
    public double Share { get; } = share is >= 0 and <= 1
        ? share
        : throw new ArgumentOutOfRangeException(nameof(share), share, "The reference's share is a number from 0 to 1.");

    /// <inheritdoc/>
    public string Description => string.Create(CultureInfo.InvariantCulture, $"{nameof(MixtureSampler)}({Share})");

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The number of samples is odd, or the models' logits have a soft cap.</exception>
    public IReadOnlyList<SampledCompletion> Sample(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions sampling, TextTokenizer? tokenizer,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(pair);
        using var mixture = new GeometricMixture(pair, Share);
        return Halves.Sample(
            sampling,
            half => Sampler.Sample(pair.Policy, prompts, half, tokenizer, onToken: null, cancellationToken),
            half => Sampler.Sample(mixture, prompts, half, tokenizer, onToken: null, cancellationToken));
    }
}
