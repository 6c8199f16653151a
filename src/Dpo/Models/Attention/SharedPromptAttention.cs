using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/>, example by example, without padding: the fastest on the CPU. On a GPU the
/// many small kernels would be bound by their launches; see <see cref="BucketedAttention"/>.
/// </summary>
internal sealed class SharedPromptAttention : Attention
{
    private readonly long[] rows;
    private readonly Tensor?[] masks;

    /// <summary>Makes the positions and the masks, which all layers share; they belong to the current dispose scope.</summary>
    public SharedPromptAttention(SequenceLayout layout, Device device, ScalarType dtype)
    {
        Positions = tensor(layout.Positions, device: device);
        rows = [.. Enumerable.Range(0, layout.Examples.Count).Select(example => (long)layout.RowsOf(example))];
        masks = [.. layout.Examples.Select(example => IsCausal(example)
            ? null
            : SharedPromptMask.Additive(SharedPromptMask.Visible(example, device), dtype))];
    }

    public override Tensor Positions { get; }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value)
    {
        // split's backward is one concatenation; slicing would make a full-size tensor of zeros for every example.
        var (queries, keys, values) = (query.split(rows), key.split(rows), value.split(rows));
        var outputs = new Tensor[rows.Length];
        for (var example = 0; example < rows.Length; example++)
            outputs[example] = nn.functional.scaled_dot_product_attention(
                Heads(queries[example]), Heads(keys[example]), Heads(values[example]),
                masks[example], is_casual: masks[example] is null).squeeze(0).transpose(0, 1);
        return cat(outputs).flatten(1);

        static Tensor Heads(Tensor x) => x.transpose(0, 1).unsqueeze(0);
    }

    /// <summary>Whether only one completion has rows, so that plain causal attention needs no mask.</summary>
    private static bool IsCausal(ExampleLengths example) => example.CompletionLengths.Count(length => length > 1) <= 1;
}
