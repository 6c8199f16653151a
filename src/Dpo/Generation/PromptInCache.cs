using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>A prompt that the model has read into its cache.</summary>
/// <param name="index">Its place among the prompts.</param>
/// <param name="tokens">Its tokens.</param>
/// <param name="row">Its row in the cache.</param>
/// <param name="logits">What every completion's first token is drawn from, <c>[V]</c>; its own.</param>
internal sealed class PromptInCache(int index, IReadOnlyList<int> tokens, int row, Tensor logits) : SampledPrompt(index, tokens)
{
    /// <summary>Its row in the cache.</summary>
    public int Row => row;

    /// <summary>What every completion's first token is drawn from, <c>[V]</c>.</summary>
    public Tensor Logits => logits;

    /// <summary>How many completions have begun.</summary>
    public int Begun { get; set; }

    /// <summary>How many completions have ended.</summary>
    public int Ended { get; set; }
}
