using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Which tokens attend to which: the one thing about a batch's shape that a transformer's blocks do not know. A model is
/// given one that shares prompts, or one that keeps keys and values between two tokens, and calls it once a block.</summary>
public abstract class Attention
{
    /// <summary>The position of every token in its sequence, from 0, <c>[N]</c>, int64. It is the attention's to
    /// dispose.</summary>
    public abstract Tensor Positions { get; }

    /// <summary>Softmax attention. Keys and values may have fewer heads than queries (Ainslie et al. 2023): the first of them
    /// then serves the first heads / kv heads query heads, and so on.</summary>
    /// <param name="layer">The block's index, from 0; a model calls once for each of its blocks.</param>
    /// <param name="query"><c>[N, heads, head size]</c>; positions, where they are rotary, are in it.</param>
    /// <param name="key"><c>[N, kv heads, head size]</c>, of the query's type; kv heads divide heads.</param>
    /// <param name="value"><c>[N, kv heads, head size]</c>, of the query's type.</param>
    /// <param name="style">Scale, soft cap and window of this layer: what the model says of it beforehand (<c>StyleOf</c>). The
    /// default is plain attention.</param>
    /// <returns><c>[N, heads · head size]</c>, of the query's type and the current dispose scope.</returns>
    /// <exception cref="InvalidOperationException">The style is not what the model said.</exception>
    public abstract Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default);

    /// <summary>Attention of batches of heads; the style's window must be in the mask already.</summary>
    /// <param name="query"><c>[B, H, T, size]</c>.</param>
    /// <param name="key"><c>[B, H, S, size]</c>.</param>
    /// <param name="value"><c>[B, H, S, size]</c>.</param>
    /// <param name="mask">True where visible, or what is added to the scores; null for none.</param>
    /// <param name="causal">Whether a row sees the columns up to its own number; only without a mask.</param>
    /// <param name="style">Scale and soft cap.</param>
    /// <returns><c>[B, H, T, size]</c>.</returns>
    private protected static Tensor Softmax(
        Tensor query, Tensor key, Tensor value, Tensor? mask, bool causal, AttentionStyle style)
    {
        // TorchSharp's fused attention always scales by 1/√size.
        var fused = 1 / Math.Sqrt(query.shape[^1]);
        if (style.Scale is { } scale && scale != fused)
            query = query.Times(scale / fused);
        if (style.SoftCap is not { } cap)
            return nn.functional.scaled_dot_product_attention(query, key, value, mask, is_casual: causal);

        var scores = matmul(query, key.transpose(2, 3)).to(float32).Times(fused / cap).tanh().Times(cap);
        if (causal)
            mask = ones(scores.shape[2], scores.shape[3], ScalarType.Bool, scores.device).tril();
        if (mask is not null)
            scores = mask.dtype == ScalarType.Bool
                ? scores.Masked(mask.logical_not(), double.NegativeInfinity)
                : scores.Plus(mask);
        return matmul(scores.softmax(3).to(value.dtype), value);
    }

    /// <summary>As <see cref="Softmax"/>, where keys and values may have fewer heads: <c>[B, H, T, size]</c> of queries against
    /// <c>[B, kv heads, S, size]</c> under a mask <c>[B, 1, T, S]</c>. The heads that share a key become rows of one head, so
    /// that keys are not copied.</summary>
    /// <returns><c>[B · T, H · size]</c>.</returns>
    private protected static Tensor GroupedSoftmax(Tensor query, Tensor key, Tensor value, Tensor mask, AttentionStyle style)
    {
        var (heads, rows) = (query.shape[1], query.shape[2]);
        var groups = heads / key.shape[1];
        if (groups > 1)
        {
            query = query.unflatten(1, -1, groups).flatten(2, 3);
            mask = mask.unsqueeze(2).expand(-1, -1, groups, -1, -1).flatten(2, 3);
        }
        return Softmax(query, key, value, mask, causal: false, style)
            .reshape(-1, heads, rows, value.shape[3]).transpose(1, 2).flatten(2).flatten(0, 1);
    }
}
