using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>What is known of the distribution each completion token was predicted from, beside the token's own probability; all
/// detached, fp32. It takes sums over the vocabulary, and is computed only where it is asked for.</summary>
/// <param name="Entropies">Its entropy, −Σ_v p(v) log p(v), in nats, <c>[M]</c>.</param>
/// <param name="MeanLogits">The mean of its logits over the vocabulary, <c>[M]</c>.</param>
/// <param name="Hits">1 where the token is the likeliest of all, else 0, <c>[M]</c>.</param>
public sealed record TokenStatistics(Tensor Entropies, Tensor MeanLogits, Tensor Hits);
