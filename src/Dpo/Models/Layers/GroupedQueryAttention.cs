using Dpo.Models.Attentions;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Attention with a projection each for queries, keys and values, of which keys and values may have fewer heads (Ainslie
/// et al. 2023). Its parameters are those of <c>q_proj</c>, <c>k_proj</c>, <c>v_proj</c> and <c>o_proj</c>, and of <c>q_norm</c>
/// and <c>k_norm</c> where heads are normalized.</summary>
public sealed class GroupedQueryAttention : SelfAttention
{
    private readonly LinearLayer q_proj;
    private readonly LinearLayer k_proj;
    private readonly LinearLayer v_proj;
    private readonly LinearLayer o_proj;
    private readonly RmsNorm? q_norm;
    private readonly RmsNorm? k_norm;
    private readonly int headSize;

    /// <summary>Makes the layers of a block; their weights are still to be filled.</summary>
    /// <param name="layer">The block's index, from 0.</param>
    /// <param name="hiddenSize">Width of the hidden states: D.</param>
    /// <param name="headCount">Heads of queries.</param>
    /// <param name="keyValueHeadCount">Heads of keys and values, a divisor of <paramref name="headCount"/>.</param>
    /// <param name="headSize">Entries of a head.</param>
    /// <param name="style">What sets the block's attention apart from the plain kind, which is the default.</param>
    /// <param name="inputBias">Whether queries, keys and values have a bias.</param>
    /// <param name="outputBias">Whether the output has one.</param>
    /// <param name="headNormEpsilon">The ε by which every head of queries and keys is normalized before it is turned (Qwen 3);
    /// null for no norm.</param>
    /// <exception cref="ArgumentException">The heads of queries are no multiple of those of keys and values.</exception>
    public GroupedQueryAttention(
        int layer, int hiddenSize, int headCount, int keyValueHeadCount, int headSize, AttentionStyle style = default,
        bool inputBias = false, bool outputBias = false, double? headNormEpsilon = null)
        : base(layer, style)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keyValueHeadCount, 1);
        if (headCount % keyValueHeadCount != 0)
        {
            throw new ArgumentException(
                $"{headCount} heads of queries are no multiple of {keyValueHeadCount} heads of keys and values.",
                nameof(headCount));
        }
        this.headSize = headSize;
        q_proj = new LinearLayer(hiddenSize, headCount * headSize, inputBias);
        k_proj = new LinearLayer(hiddenSize, keyValueHeadCount * headSize, inputBias);
        v_proj = new LinearLayer(hiddenSize, keyValueHeadCount * headSize, inputBias);
        o_proj = new LinearLayer(headCount * headSize, hiddenSize, outputBias);
        if (headNormEpsilon is { } epsilon)
        {
            q_norm = new RmsNorm(headSize, epsilon);
            k_norm = new RmsNorm(headSize, epsilon);
        }
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x, Rotation rotation, Attention attention)
    {
        var (query, key, value) = (Heads(q_proj), Heads(k_proj), Heads(v_proj));
        if (q_norm is not null && k_norm is not null)
            (query, key) = (q_norm.call(query), k_norm.call(key));
        return o_proj.call(Attend(query, key, value, rotation, attention));

        Tensor Heads(LinearLayer projection) => projection.call(x).unflatten(1, -1, headSize);
    }
}
