using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/>, example by example: a completion attends to its prompt and its own past and
/// is blind to its siblings.
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
        masks = [.. layout.Examples.Select(example => Mask(example, device, dtype))];
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

    /// <summary>0 where a row may attend and −∞ where not, <c>[rows, rows]</c>; null where plain causal attention says it.</summary>
    private static Tensor? Mask(ExampleLengths example, Device device, ScalarType dtype)
    {
        if (example.CompletionLengths.Count(length => length > 1) <= 1)
            return null;

        using var scope = NewDisposeScope();
        // Rows of the same completion share a number; the prompt's number, 0, is visible to all of them.
        var owner = new List<long>(Enumerable.Repeat(0L, example.PromptLength));
        for (var completion = 0; completion < example.CompletionLengths.Count; completion++)
            owner.AddRange(Enumerable.Repeat(completion + 1L, example.CompletionLengths[completion] - 1));
        var owners = tensor(owner.ToArray(), device: device);
        var visible = owners.unsqueeze(1).eq(owners.unsqueeze(0)).logical_or(owners.eq(0)).tril();
        return zeros(visible.shape, dtype, device).masked_fill_(visible.logical_not(), double.NegativeInfinity).MoveToOuterDisposeScope();
    }
}
