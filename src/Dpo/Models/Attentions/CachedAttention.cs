using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>
/// Attention of sequences that grow by a token a call, with the keys and values of what came before kept. Sequences are of any
/// lengths and begin and end at any call; several may continue one prompt, whose keys and values are then kept once.
/// </summary>
/// <remarks>
/// <para>Sequence i has row i, from its first column. A row that has become free is used again as it is: what is left of the
/// sequence before lies behind what the new one sees.</para>
/// <para>On the CPU each head reads the columns that it sees where they lie, so that prompts may lie apart. On other devices,
/// where every operation is a launch, a prompt that one sequence continues is copied before the sequence's own columns, and one
/// call of LibTorch's fused attention sees both; where a prompt has several sequences, they are rows of one product with its
/// keys.</para>
/// </remarks>
internal sealed class CachedAttention : Attention, IDisposable
{
    private readonly Tensor?[] keys;
    private readonly Tensor?[] values;
    private readonly int[] prompts;
    private readonly int[] apart;
    private readonly int[] own;
    private readonly int capacity;
    private readonly Device device;
    private readonly bool usesVectors;
    private readonly bool isApart;
    private int[] stepApart = [];
    private int[] stepOwn = [];
    private CachedStep? step;
    private Tensor? positions;

    /// <summary>Makes a cache for prompts that are still to be stored.</summary>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="sequences">The most sequences at once.</param>
    /// <param name="promptWidth">The most tokens of a prompt.</param>
    /// <param name="newTokens">The most tokens behind a prompt that others will be computed after.</param>
    /// <param name="isShared">Whether several sequences continue one prompt.</param>
    /// <param name="device">The device of the queries.</param>
    public CachedAttention(int layers, int sequences, int promptWidth, int newTokens, bool isShared, Device device)
    {
        (keys, values) = (new Tensor?[layers], new Tensor?[layers]);
        (prompts, apart, own) = (new int[sequences], new int[sequences], new int[sequences]);
        this.device = device;
        usesVectors = !DeviceStrategies.AreFor(device);
        isApart = isShared || usesVectors;
        // Room for a mask's multiples of 8 too.
        capacity = isApart ? newTokens : (promptWidth + newTokens + 7) / 8 * 8;
        Prompts = new CachedPrompts(layers, promptWidth, usesVectors);
    }

    /// <summary>The prompts, which are stored before sequences continue them.</summary>
    public CachedPrompts Prompts { get; }

    public override Tensor Positions => positions!;

    /// <summary>Begins sequences behind their prompts.</summary>
    /// <param name="rows">Their rows.</param>
    /// <param name="promptRows">The rows of their prompts in <see cref="Prompts"/>.</param>
    public void Begin(IReadOnlyList<int> rows, IReadOnlyList<int> promptRows)
    {
        foreach (var (row, prompt) in rows.Zip(promptRows))
        {
            prompts[row] = prompt;
            (apart[row], own[row]) = isApart ? (Prompts.Length(prompt), 0) : (0, Prompts.Length(prompt));
        }
        if (isApart)
            return;
        using var scope = NewDisposeScope();
        var (from, to, width) = (Index(promptRows), Index(rows), promptRows.Max(Prompts.Length));
        for (var layer = 0; layer < keys.Length; layer++)
        {
            Copy(Prompts.Keys(layer), from, Made(ref keys[layer], Prompts.Keys(layer)), to, width);
            Copy(Prompts.Values(layer), from, Made(ref values[layer], Prompts.Values(layer)), to, width);
        }
    }

    /// <summary>Moves sequences to other rows.</summary>
    public void Move(IReadOnlyList<(int From, int To)> moves)
    {
        foreach (var (source, target) in moves)
            (prompts[target], apart[target], own[target]) = (prompts[source], apart[source], own[source]);
        var width = moves.Max(move => own[move.From]);
        if (width == 0 || keys[0] is null)
            return;
        using var scope = NewDisposeScope();
        var (from, to) = (Index(moves.Select(move => move.From)), Index(moves.Select(move => move.To)));
        foreach (var cache in keys.Concat(values))
            Copy(cache!, from, cache!, to, width);
    }

    /// <summary>Begins the next token of the sequences in the first rows.</summary>
    /// <param name="count">How many rows: S.</param>
    public void Advance(int count)
    {
        for (var row = 0; row < count; row++)
            own[row]++;
        (stepApart, stepOwn) = (apart[..count], own[..count]);
        positions?.Dispose();
        positions = DeviceCopy.Of([.. stepApart.Zip(stepOwn, (one, other) => one + other - 1L)], device).DetachFromDisposeScope();
        step?.Dispose();
        step = null;
    }

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var (ofKeys, ofValues) = (Made(ref keys[layer], key), Made(ref values[layer], value));
        if (usesVectors && VectorAttention<float>.Takes(key))
        {
            var ofPrompts = new CachedColumns(Prompts.Keys(layer), Prompts.Values(layer), prompts, stepApart);
            var columns = new CachedColumns(ofKeys, ofValues, null, stepOwn);
            return query.dtype == float32
                ? VectorAttention<float>.Attend(query, key, value, ofPrompts, columns, style)
                : VectorAttention<ushort>.Attend(query, key, value, ofPrompts, columns, style);
        }

        step ??= new CachedStep(stepApart, stepOwn, isApart ? prompts[..stepOwn.Length] : null, ofKeys);
        CachedPrompts.Write(ofKeys, step.Writes, key);
        CachedPrompts.Write(ofValues, step.Writes, value);
        // Query heads that share a key head become rows of it, so that keys are not copied.
        var rows = query.view(query.shape[0], key.shape[1], -1, query.shape[2]);
        var (seenKeys, seenValues) = (Seen(ofKeys), Seen(ofValues));
        var mask = step.Mask(style.Window ?? SharedPromptMask.NoWindow, query.dtype);
        var output = isApart
            ? SharedSoftmax(layer, rows, seenKeys, seenValues, mask, style)
            : Softmax(rows, seenKeys, seenValues, mask, causal: false, style);
        return output.reshape(query.shape[0], -1);

        Tensor Seen(Tensor cache) => cache.narrow(0, 0, query.shape[0]).narrow(2, 0, step.OwnColumns);
    }

    /// <summary>One softmax over the columns of the prompts and the sequences' own.</summary>
    private Tensor SharedSoftmax(int layer, Tensor rows, Tensor ofKeys, Tensor ofValues, Tensor? mask, AttentionStyle style)
    {
        rows = rows.Times(style.Scale ?? 1 / Math.Sqrt(rows.shape[3]));
        var scores = cat(
            [
                Apart(matmul(Together(rows), OfPrompts(Prompts.Keys(layer)).transpose(2, 3))),
                matmul(rows, ofKeys.transpose(2, 3))
            ], 3);
        if (style.SoftCap is { } cap)
            scores = scores.to(float32).DividedBy(cap).tanh_().MultiplyInPlace(cap);
        if (mask is not null)
            scores = scores.Plus(mask);
        var weights = scores.softmax(3, float32).to(ofValues.dtype).split([step!.ApartColumns, step.OwnColumns], 3);
        return Apart(matmul(Together(weights[0]), OfPrompts(Prompts.Values(layer)))).Plus(matmul(weights[1], ofValues));

        // [S, kv heads, groups, x] → [P, kv heads, K · groups, x], and back.
        Tensor Together(Tensor x) =>
            x.index_select(0, step!.PromptGrid).unflatten(0, step.PromptCount, step.PerPrompt).transpose(1, 2).flatten(2, 3);
        Tensor Apart(Tensor x) =>
            x.unflatten(2, step!.PerPrompt, rows.shape[2]).transpose(1, 2).flatten(0, 1).index_select(0, step.PlacesInGrid);
        Tensor OfPrompts(Tensor cache) => cache.narrow(0, 0, step!.PromptCount).narrow(2, 0, step.ApartColumns);
    }

    private Tensor Made(ref Tensor? cache, Tensor like) => cache ??= CachedPrompts.New(own.Length, capacity, like, usesVectors);

    private Tensor Index(IEnumerable<int> rows) => DeviceCopy.Of([.. rows.Select(row => (long)row)], device);

    private static void Copy(Tensor source, Tensor from, Tensor target, Tensor to, int width) =>
        target.narrow(2, 0, width).index_copy_(0, to, source.narrow(2, 0, width).index_select(0, from));

    public void Dispose()
    {
        Prompts.Dispose();
        step?.Dispose();
        foreach (var tensor in keys.Concat(values).Append(positions))
            tensor?.Dispose();
    }
}
