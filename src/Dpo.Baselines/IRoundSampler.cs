using Dpo.Generation;
using Dpo.Tokenization;
using Dpo.Training;

namespace Dpo.Baselines;

/// <summary>Who writes a round's completions. One of your own is a class; where half of them are another model's, those stand
/// behind the policy's own, prompt by prompt.</summary>
public interface IRoundSampler
{
    /// <summary>The sampler as a text that is another wherever its class or one of its numbers is: a checkpoint records it, and a
    /// run that goes on with another is refused.</summary>
    public string Description { get; }

    /// <summary>Samples.</summary>
    /// <param name="pair">The models.</param>
    /// <param name="prompts">The round's prompts.</param>
    /// <param name="sampling">How to draw, and how many of each prompt; all draws follow from its seed.</param>
    /// <param name="tokenizer">The policy's, or null.</param>
    /// <param name="cancellationToken">Stops the sampling.</param>
    /// <returns>All completions of the first prompt, then of the next; of every prompt as many.</returns>
    public IReadOnlyList<SampledCompletion> Sample(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions sampling, TextTokenizer? tokenizer,
        CancellationToken cancellationToken);
}
