using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/>, example by example, without padding: the fastest on the CPU. On a GPU the
/// many small kernels would be bound by their launches; see <see cref="BucketedAttention"/>.
/// </summary>
internal sealed class SharedPromptAttention : Attention
{
    private readonly long[] rows;
    private readonly Dictionary<int, Tensor?[]> masks = [];

    /// <summary>Makes the positions and the masks, which all layers share; they belong to the current dispose scope.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="dtype">The data type of the queries.</param>
    /// <param name="windows">The sliding windows that layers will ask for.</param>
    public SharedPromptAttention(SequenceLayout layout, Device device, ScalarType dtype, params IEnumerable<int> windows)
    {
        Positions = tensor(layout.Positions, device: device);
        rows = [.. Enumerable.Range(0, layout.Examples.Count).Select(example => (long)layout.RowsOf(example))];
        Tensor Mask(ExampleLengths example, int window)
        {
            using var scope = NewDisposeScope();
            return SharedPromptMask.Additive(SharedPromptMask.Visible(example, window, device), dtype).MoveToOuterDisposeScope();
        }
        var whole = masks[SharedPromptMask.NoWindow] = [.. layout.Examples.Select(example =>
            IsCausal(example) ? null : Mask(example, SharedPromptMask.NoWindow))];
        foreach (var window in windows)
            masks[window] = [.. layout.Examples.Select((example, index) =>
                window >= example.LongestSequence ? whole[index] : Mask(example, window))];
    }

    public override Tensor Positions { get; }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var (keyHeads, groups) = (key.shape[1], query.shape[1] / key.shape[1]);
        var mask = masks[style.Window ?? SharedPromptMask.NoWindow];
        // split's backward is one concatenation; slicing would make a full-size tensor of zeros for every example.
        var (queries, keys, values) = (query.split(rows), key.split(rows), value.split(rows));
        var outputs = new Tensor[rows.Length];
        for (var example = 0; example < rows.Length; example++)
            outputs[example] = Softmax(
                Heads(queries[example]), Shared(keys[example]), Shared(values[example]), mask[example], style).flatten(0, 1).transpose(0, 1);
        return cat(outputs).flatten(1);

        // A batch entry per key head, so that the query heads which share it see it through a view: [kv heads, groups, T, size].
        Tensor Heads(Tensor x) => x.unflatten(1, keyHeads, groups).permute(1, 2, 0, 3);
        Tensor Shared(Tensor x) => x.transpose(0, 1).unsqueeze(1).expand(-1, groups, -1, -1);
    }

    /// <summary>Whether only one completion has rows, so that plain causal attention needs no mask.</summary>
    private static bool IsCausal(ExampleLengths example) => example.CompletionLengths.Count(length => length > 1) <= 1;
}
