using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Where the tokens of one step are written in a cache and what they see of it, for all layers of a model.</summary>
/// <remarks>All that follows from the sequences' lengths is copied to the device at once, and nothing is read from it.</remarks>
internal sealed class CachedStep : IDisposable
{
    private readonly List<Tensor> kept = [];
    private readonly Dictionary<int, Tensor?> masks = [];
    private readonly Tensor apartEnds;
    private readonly Tensor ownEnds;
    private readonly bool isRagged;
    private readonly int longest;

    /// <summary>Lays out a step of S sequences, of which sequence i has row i of the cache.</summary>
    /// <param name="apart">Tokens of each one's prompt where prompts are kept apart, else 0, <c>[S]</c>.</param>
    /// <param name="own">Its own columns up to the new one, <c>[S]</c>.</param>
    /// <param name="prompts">The row of its prompt where prompts are kept apart, <c>[S]</c>; else null.</param>
    /// <param name="keys">A layer's keys, <c>[rows, kv heads, columns, size]</c>.</param>
    public CachedStep(int[] apart, int[] own, int[]? prompts, Tensor keys)
    {
        var (keyHeads, columns) = ((int)keys.shape[1], keys.shape[2]);
        ApartColumns = apart.Max();
        isRagged = own.Min() < own.Max() || apart.Min() < apart.Max();
        // The kernels of fused attention want rows of a mask at multiples of 8.
        OwnColumns = isRagged && prompts is null ? (int)Math.Min(columns, (own.Max() + 7) / 8 * 8) : own.Max();
        longest = own.Zip(apart, (one, other) => one + other).Max();

        var writes = new long[own.Length * keyHeads];
        for (var head = 0; head < writes.Length; head++)
            writes[head] = (head * columns) + own[head / keyHeads] - 1;
        var (grid, places) = prompts is null ? ([], []) : Grid(prompts);
        long[][] parts =
            [writes, grid, places, [.. apart.Select(length => (long)length)], [.. own.Select(length => (long)length)]];
        using var scope = NewDisposeScope();
        var onDevice = DeviceCopy.Of([.. parts.SelectMany(part => part)], keys.device)
            .split([.. parts.Select(part => (long)part.Length)]);
        foreach (var tensor in onDevice)
            kept.Add(tensor.DetachFromDisposeScope());
        (Writes, PromptGrid, PlacesInGrid, apartEnds, ownEnds) =
            (onDevice[0], onDevice[1], onDevice[2], onDevice[3], onDevice[4]);
    }

    /// <summary>Where the new keys and values are written, among all columns of all heads of all rows: 
    /// <c>[S · kv heads]</c>.</summary>
    public Tensor Writes { get; }

    /// <summary>So many columns of prompts that are kept apart are looked at.</summary>
    public int ApartColumns { get; }

    /// <summary>So many of the sequences' own columns are looked at.</summary>
    public int OwnColumns { get; }

    /// <summary>Rows of prompts that are looked at: P.</summary>
    public int PromptCount { get; private set; }

    /// <summary>The most sequences of one prompt: K.</summary>
    public int PerPrompt { get; private set; }

    /// <summary>The sequences by prompt, <c>[P · K]</c>; where a prompt has fewer than K, any.</summary>
    public Tensor PromptGrid { get; }

    /// <summary>Where each sequence is among those, <c>[S]</c>.</summary>
    public Tensor PlacesInGrid { get; }

    /// <summary>What is added to the scores, <c>[S, 1, 1, apart + own columns]</c>; null where all is seen.</summary>
    /// <param name="window">How many of the last positions are seen.</param>
    /// <param name="dtype">The type of the scores.</param>
    public Tensor? Mask(int window, ScalarType dtype)
    {
        if (masks.TryGetValue(window, out var mask))
            return mask;
        if (isRagged || window < longest)
        {
            using var scope = NewDisposeScope();
            var hidden = window < longest ? apartEnds.Plus(ownEnds).Minus((long)window) : null;
            var visible = cat(
                [Visible(ApartColumns, apartEnds, hidden), Visible(OwnColumns, ownEnds, hidden?.sub(apartEnds))], 1);
            mask = SharedPromptMask.Additive(visible, dtype).unsqueeze(1).unsqueeze(1).DetachFromDisposeScope();
            kept.Add(mask);
        }
        return masks[window] = mask;

        static Tensor Visible(int columns, Tensor ends, Tensor? firsts)
        {
            var column = HeldScalars.Range(columns, ends.device);
            var visible = column.lt(ends.unsqueeze(1));
            return firsts is null ? visible : visible.logical_and(column.ge(firsts.unsqueeze(1)));
        }
    }

    public void Dispose()
    {
        foreach (var tensor in kept)
            tensor.Dispose();
    }

    private (long[] Grid, long[] Places) Grid(int[] prompts)
    {
        var ofPrompts = prompts.Index().ToLookup(entry => entry.Item, entry => entry.Index);
        (PromptCount, PerPrompt) = (prompts.Max() + 1, ofPrompts.Max(ofPrompt => ofPrompt.Count()));
        var (grid, places) = (new long[PromptCount * PerPrompt], new long[prompts.Length]);
        foreach (var ofPrompt in ofPrompts)
        {
            foreach (var (index, sequence) in ofPrompt.Index())
            {
                places[sequence] = (ofPrompt.Key * PerPrompt) + index;
                grid[places[sequence]] = sequence;
            }
        }
        return (grid, places);
    }
}
