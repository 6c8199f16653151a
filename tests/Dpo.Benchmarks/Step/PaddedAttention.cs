using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>Plain causal attention of sequences of equal length, padded where they were not: one call for the whole batch.</summary>
internal sealed class PaddedAttention(long sequences, long length) : Attention
{
    public override Tensor Positions { get; } = arange(length, int64).repeat(sequences);

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var output = nn.functional.scaled_dot_product_attention(Heads(query), Heads(key), Heads(value), is_casual: true);
        return output.transpose(1, 2).flatten(2).flatten(0, 1);

        // [B · T, heads, size] → [B, heads, T, size]
        Tensor Heads(Tensor x) => x.view(sequences, length, x.shape[1], x.shape[2]).transpose(1, 2);
    }
}
