using static TorchSharp.torch;

namespace Dpo;

/// <summary>Attention over prompts laid end to end, whose keys and values a cache keeps.</summary>
/// <param name="attention">The attention over the prompts.</param>
/// <param name="layout">The prompts alone.</param>
/// <param name="cache">The cache.</param>
/// <param name="firstPrompt">Which of the cache's prompts is the layout's first.</param>
internal sealed class PromptAttention(Attention attention, SequenceLayout layout, CachedAttention cache, int firstPrompt) : Attention
{
    public override Tensor Positions => attention.Positions;

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var row = 0;
        for (var prompt = 0; prompt < layout.Examples.Count; prompt++)
        {
            var rows = layout.RowsOf(prompt);
            cache.StorePrompt(layer, firstPrompt + prompt, key.narrow(0, row, rows), value.narrow(0, row, rows));
            row += rows;
        }
        return attention.Attend(layer, query, key, value, style);
    }
}
