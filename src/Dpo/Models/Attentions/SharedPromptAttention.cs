using Dpo.Layout;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/>, example by example, without padding: the fastest on the CPU. On a GPU the
/// many small kernels would be bound by their launches; see <see cref="BucketedAttention"/>.
/// </summary>
/// <remarks>
/// An example's prompt and first completion are one causal sequence. The rows of every further completion attend to the prompt
/// and to themselves, so that nothing is computed between completions only to be masked. It is fp32 at either precision:
/// libtorch's bf16 attention sets up a small product anew for every head and block, and took a fourth of a bf16 step.
/// </remarks>
internal sealed class SharedPromptAttention : Attention
{
    private readonly long[] rows;
    private readonly List<Example> examples = [];
    private readonly Dictionary<int, Tensor?[]> masks = [];

    /// <summary>Makes the positions and the masks, which all layers share; they belong to the current dispose scope.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="windows">The sliding windows that layers will ask for.</param>
    public SharedPromptAttention(SequenceLayout layout, Device device, params IEnumerable<int> windows)
    {
        Positions = tensor(layout.Positions, device: device);
        var parts = new List<Part>();
        foreach (var (prompt, completions) in layout.Examples)
        {
            var lengths = completions.Select(length => length - 1).Where(length => length > 0).ToArray();
            examples.Add(new(prompt, lengths.FirstOrDefault(), Math.Max(0, lengths.Length - 1)));
            parts.Add(new(0, prompt + lengths.FirstOrDefault()));
            parts.AddRange(lengths.Skip(1).Select(length => new Part(prompt, length)));
        }
        rows = [.. parts.Select(part => (long)part.Rows)];
        var whole = masks[SharedPromptMask.NoWindow] = [.. parts.Select(part => part.Mask(SharedPromptMask.NoWindow, device))];
        foreach (var window in windows)
            masks[window] = [.. parts.Select((part, index) => window >= part.Columns ? whole[index] : part.Mask(window, device))];
    }

    public override Tensor Positions { get; }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var (keyHeads, groups) = (key.shape[1], query.shape[1] / key.shape[1]);
        var mask = SharedPromptMask.Find(masks, style);
        // split's backward is one concatenation; slicing would make a full-size tensor of zeros for every part.
        var (queries, keys, values) = (query.to(float32).split(rows), key.to(float32).split(rows), value.to(float32).split(rows));
        var outputs = new Tensor[rows.Length];
        var part = 0;
        foreach (var example in examples)
        {
            var first = part++;
            outputs[first] = Attend(queries[first], keys[first], values[first], mask[first]);
            if (example.FurtherCompletions == 0)
                continue;
            var (promptKeys, promptValues) = (example.PromptOf(keys[first]), example.PromptOf(values[first]));
            for (var end = part + example.FurtherCompletions; part < end; part++)
                outputs[part] = Attend(
                    queries[part], cat([promptKeys, keys[part]]), cat([promptValues, values[part]]), mask[part]);
        }
        return cat(outputs).flatten(1).to(query.dtype);

        // A batch entry per key head, so that the query heads which share it see it through a view: [kv heads, groups, T, size].
        Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? m) => Softmax(
            q.unflatten(1, keyHeads, groups).permute(1, 2, 0, 3), Shared(k), Shared(v), m, causal: m is null, style)
            .flatten(0, 1).transpose(0, 1);
        Tensor Shared(Tensor x) => x.transpose(0, 1).unsqueeze(1).expand(-1, groups, -1, -1);
    }

    /// <summary>Rows of an example: its prompt, the first completion that has any, and how many more have.</summary>
    private readonly record struct Example(int Prompt, int FirstCompletion, int FurtherCompletions)
    {
        public Tensor PromptOf(Tensor sequence) => FirstCompletion == 0 ? sequence : sequence.split([Prompt, FirstCompletion])[0];
    }

    /// <summary>Rows that attend to a number of rows before them and to themselves.</summary>
    private readonly record struct Part(int Before, int Rows)
    {
        public int Columns => Before + Rows;

        /// <summary>What is added to the scores, <c>[rows, before + rows]</c>; null where it is causal and nothing
        /// else.</summary>
        public Tensor? Mask(int window, Device device)
        {
            if (Before == 0 && window >= Columns)
                return null;
            using var scope = NewDisposeScope();
            var visible = ones(Rows, Columns, ScalarType.Bool, device).tril(Before);
            if (window < Columns)
                visible = visible.triu(Before - window + 1);
            return SharedPromptMask.Additive(visible, float32).MoveToOuterDisposeScope();
        }
    }
}
