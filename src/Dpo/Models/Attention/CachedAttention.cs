using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// Attention of sequences that grow in step, a token a call, with the keys and values of what came before kept. Several
/// sequences may continue one prompt, whose keys and values are then kept once.
/// </summary>
/// <remarks>
/// <para>Prompts of unequal length end in the same column. So all sequences write into one column, what a sliding window hides is
/// the same columns of all, and a mask is needed only over the columns before a shorter prompt's beginning.</para>
/// <para>The S = P·K sequences lie prompt by prompt. Where K is 1 a sequence's own columns follow its prompt's; otherwise they are
/// apart, and all of a prompt's sequences are rows of one product with its keys.</para>
/// </remarks>
internal sealed class CachedAttention : Attention, IDisposable
{
    private readonly Tensor?[] keys;
    private readonly Tensor?[] values;
    private readonly Tensor?[] promptKeys;
    private readonly Tensor?[] promptValues;
    private readonly IReadOnlyList<int> promptLengths;
    private IReadOnlyList<int> padding;
    private readonly int width;
    private readonly int capacity;
    private readonly bool isShared;
    private Tensor positions;
    private Tensor? mask;
    private int column;

    /// <summary>Makes a cache for prompts that are still to be stored.</summary>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="promptLengths">Tokens of every prompt, <c>[P]</c>.</param>
    /// <param name="samples">K.</param>
    /// <param name="newTokens">The most tokens behind a prompt that others will be computed after.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="dtype">The data type of the queries.</param>
    public CachedAttention(int layers, IReadOnlyList<int> promptLengths, int samples, int newTokens, Device device, ScalarType dtype)
    {
        (keys, values, promptKeys, promptValues) = (new Tensor?[layers], new Tensor?[layers], new Tensor?[layers], new Tensor?[layers]);
        this.promptLengths = promptLengths;
        width = promptLengths.Max();
        padding = [.. promptLengths.Select(length => width - length)];
        isShared = samples > 1;
        // Where the prompt's columns are apart, they are not among these.
        column = isShared ? -1 : width - 1;
        capacity = column + 1 + newTokens;
        using var scope = NewDisposeScope();
        var lengths = tensor(promptLengths.Select(length => (long)length).ToArray(), device: device);
        positions = lengths.Minus(1).repeat_interleave(samples, 0).DetachFromDisposeScope();
        if (promptLengths.Any(length => length < width))
            mask = SharedPromptMask.Additive(HeldScalars.Range(width, device).ge(lengths.negative().Plus(width).unsqueeze(1)), dtype)
                .repeat_interleave(samples, 0).view(-1, 1, 1, width).DetachFromDisposeScope();
    }

    public override Tensor Positions => positions;

    /// <summary>Stores keys and values <c>[T, kv heads, size]</c> of one prompt.</summary>
    public void StorePrompt(int layer, int prompt, Tensor key, Tensor value)
    {
        Store(ref (isShared ? ref promptKeys[layer] : ref keys[layer]), key);
        Store(ref (isShared ? ref promptValues[layer] : ref values[layer]), value);

        void Store(ref Tensor? cache, Tensor entries)
        {
            cache ??= Empty(promptLengths.Count, isShared ? width : capacity, entries);
            var padding = width - promptLengths[prompt];
            var columns = cache.select(0, prompt);
            columns.narrow(1, padding, promptLengths[prompt]).copy_(entries.transpose(0, 1));
            // What is masked is multiplied by 0, and must be a number.
            columns.narrow(1, 0, padding).zero_();
        }
    }

    /// <summary>Begins the next token of every sequence.</summary>
    public void Advance()
    {
        column++;
        positions.AddInPlace(1);
    }

    /// <summary>Goes on with some of the sequences.</summary>
    /// <param name="prompts">Which prompts, by their present place.</param>
    /// <param name="sequences">Which sequences, prompt by prompt, equally many of each.</param>
    public void Keep(IReadOnlyList<int> prompts, IReadOnlyList<int> sequences)
    {
        using var scope = NewDisposeScope();
        var (ofPrompts, ofSequences) = (Index(prompts), Index(sequences));
        padding = [.. prompts.Select(prompt => padding[prompt])];
        positions = Select(positions, ofSequences)!;
        mask = Select(mask, ofSequences);
        for (var layer = 0; layer < keys.Length; layer++)
        {
            keys[layer] = Select(keys[layer], ofSequences);
            values[layer] = Select(values[layer], ofSequences);
            promptKeys[layer] = Select(promptKeys[layer], ofPrompts);
            promptValues[layer] = Select(promptValues[layer], ofPrompts);
        }

        Tensor Index(IReadOnlyList<int> places) => tensor(places.Select(place => (long)place).ToArray(), device: positions.device);

        static Tensor? Select(Tensor? from, Tensor index)
        {
            var selected = from?.index_select(0, index).DetachFromDisposeScope();
            from?.Dispose();
            return selected;
        }
    }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var (count, keyHeads, size) = (key.shape[0], key.shape[1], key.shape[2]);
        keys[layer] ??= Empty(count, capacity, key);
        values[layer] ??= Empty(count, capacity, value);
        // One softmax over the prompt's columns, where they are apart, and a sequence's own, but for those the window hides.
        var before = isShared ? width : 0;
        var hidden = style.Window is { } window ? Math.Max(0, before + column + 1 - window) : 0;
        var (first, apart) = (Math.Max(0, hidden - before), Math.Max(0, before - hidden));
        var own = column + 1 - first;
        if (VectorAttention<float>.Takes(query, key, value))
        {
            var prompts = apart == 0 ? null : new CachedColumns(promptKeys[layer]!, promptValues[layer]!, width, hidden, padding);
            var columns = new CachedColumns(keys[layer]!, values[layer]!, column + 1, first, isShared ? null : padding);
            return query.dtype == float32
                ? VectorAttention<float>.Attend(query, key, value, prompts, columns, style)
                : VectorAttention<ushort>.Attend(query, key, value, prompts, columns, style);
        }

        keys[layer]!.select(2, column).copy_(key);
        values[layer]!.select(2, column).copy_(value);
        // Query heads that share a key head become rows of it, so that keys are not copied.
        var rows = query.view(count, keyHeads, -1, size).Times(style.Scale ?? 1 / Math.Sqrt(size));
        var scores = Products(keys[layer]!.narrow(2, first, own), rows);
        if (apart > 0)
            scores = cat([Apart(Products(promptKeys[layer]!.narrow(2, hidden, apart), Together(rows))), scores], 3);
        if (style.SoftCap is { } cap)
            scores = scores.to(float32).DividedBy(cap).tanh_().MultiplyInPlace(cap);
        if (mask is not null && hidden < width)
            scores.narrow(3, 0, width - hidden).AddInPlace(mask.narrow(3, hidden, width - hidden));
        var weights = scores.softmax(3, float32).to(value.dtype);
        var output = matmul(weights.narrow(3, apart, own), values[layer]!.narrow(2, first, own));
        if (apart > 0)
            output = output.Plus(Apart(matmul(Together(weights.narrow(3, 0, apart)), promptValues[layer]!.narrow(2, hidden, apart))));
        return output.reshape(count, -1);

        // [P·K, kv heads, groups, x] → [P, kv heads, K·groups, x], so that a prompt's sequences are rows of one product; and back.
        Tensor Together(Tensor x) => x.unflatten(0, promptKeys[layer]!.shape[0], -1).transpose(1, 2).flatten(2, 3);
        Tensor Apart(Tensor x) => x.unflatten(2, -1, rows.shape[2]).transpose(1, 2).flatten(0, 1);

        // Keys times query: the order in which bf16 products of so few rows are fast.
        static Tensor Products(Tensor keys, Tensor rows) => matmul(keys, rows.transpose(2, 3)).transpose(2, 3);
    }

    private static Tensor Empty(long sequences, int columns, Tensor like) =>
        empty([sequences, like.shape[^2], columns, like.shape[^1]], like.dtype, like.device).DetachFromDisposeScope();

    public void Dispose()
    {
        foreach (var tensor in (Tensor?[])[positions, mask, .. keys, .. values, .. promptKeys, .. promptValues])
            tensor?.Dispose();
    }
}
