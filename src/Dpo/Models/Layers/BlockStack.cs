using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>The blocks of a transformer, one after the other.</summary>
internal static class BlockStack
{
    /// <summary>Passes hidden states through all blocks. Each has a dispose scope of its own: what autograd does not keep is freed
    /// at once, and without gradients that is everything.</summary>
    /// <param name="hidden">What enters the first block.</param>
    /// <param name="blocks">The blocks.</param>
    /// <param name="checkpoint">Whether a block is computed anew in the backward pass; what <paramref name="forward"/> uses must
    /// then live as long.</param>
    /// <param name="forward">Runs a block.</param>
    public static Tensor Run<TBlock>(Tensor hidden, IEnumerable<TBlock> blocks, bool checkpoint, Func<TBlock, Tensor, Tensor> forward)
    {
        using var scope = NewDisposeScope();
        foreach (var block in blocks)
        {
            using var blockScope = NewDisposeScope();
            var output = checkpoint ? Checkpoint.Run(hidden, input => forward(block, input)) : forward(block, hidden);
            hidden = output.MoveToOuterDisposeScope();
        }
        return hidden.MoveToOuterDisposeScope();
    }
}
