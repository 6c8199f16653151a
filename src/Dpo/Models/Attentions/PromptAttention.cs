using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Attention over prompts laid end to end, whose keys and values a cache keeps.</summary>
/// <param name="attention">The attention over the prompts.</param>
/// <param name="cache">Where they are kept.</param>
/// <param name="rows">The cache's rows of the prompts, in their order.</param>
internal sealed class PromptAttention(Attention attention, CachedPrompts cache, IReadOnlyList<int> rows) : Attention, IDisposable
{
    private Tensor? index;

    public override Tensor Positions => attention.Positions;

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        index ??= cache.Index(rows, (int)key.shape[1], key.device).DetachFromDisposeScope();
        cache.Store(layer, index, key, value);
        return attention.Attend(layer, query, key, value, style);
    }

    public void Dispose() => index?.Dispose();
}
