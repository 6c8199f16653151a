using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>The blocks of a transformer, one after the other. Their parameters are named by the block's index: <c>0.…</c>,
/// <c>1.…</c></summary>
/// <typeparam name="TBlock">What a block is.</typeparam>
public sealed class BlockSequence<TBlock> : nn.Module
    where TBlock : nn.Module
{
    private readonly TBlock[] blocks;

    /// <summary>Makes the blocks.</summary>
    /// <param name="count">How many.</param>
    /// <param name="make">Makes the block of an index, from 0; the sequence disposes it.</param>
    public BlockSequence(int count, Func<int, TBlock> make)
        : base(nameof(BlockSequence<TBlock>))
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentNullException.ThrowIfNull(make);
        blocks = [.. Enumerable.Range(0, count).Select(make)];
        foreach (var (index, block) in blocks.Index())
            register_module($"{index}", block);
    }

    /// <summary>Passes hidden states through all blocks. Each has a dispose scope of its own: what autograd does not keep is
    /// freed at once, and without gradients that is everything.</summary>
    /// <param name="hidden">What enters the first block, <c>[N, D]</c>.</param>
    /// <param name="recompute">Whether a block is computed anew in the backward pass: the model's <c>CheckpointActivations</c>.
    /// What <paramref name="forward"/> uses, such as a rotation, must then live as long: make it in the dispose scope that the
    /// model was called in.</param>
    /// <param name="forward">Maps a block and what enters it to what leaves it, of the same shape. It may be called twice, and
    /// must answer with the same again.</param>
    /// <returns>What leaves the last block, of the current dispose scope.</returns>
    public Tensor Run(Tensor hidden, bool recompute, Func<TBlock, Tensor, Tensor> forward)
    {
        ArgumentNullException.ThrowIfNull(forward);
        using var scope = NewDisposeScope();
        foreach (var block in blocks)
        {
            using var blockScope = NewDisposeScope();
            var output = recompute ? Recomputation.Run(hidden, input => forward(block, input)) : forward(block, hidden);
            hidden = output.MoveToOuterDisposeScope();
        }
        return hidden.MoveToOuterDisposeScope();
    }
}
