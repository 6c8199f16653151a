using static TorchSharp.torch;

namespace Dpo;

/// <summary>Which rows of an example may see which: the prompt is causal; a completion sees the prompt and its own past.
/// A sliding window takes away what lies too many positions before.</summary>
internal static class SharedPromptMask
{
    /// <summary>The window of a layer that has none.</summary>
    public const int NoWindow = int.MaxValue;

    /// <summary>True where the row may see the column, <c>[rows, rows]</c>, of the current dispose scope.</summary>
    public static Tensor Visible(ExampleLengths example, int window, Device device)
    {
        using var scope = NewDisposeScope();
        // Rows of a completion share a number; the prompt's number, 0, is visible to all that come later.
        var owners = new List<long>(Enumerable.Repeat(0L, example.PromptLength));
        foreach (var (index, length) in example.CompletionLengths.Index())
            owners.AddRange(Enumerable.Repeat(index + 1L, length - 1));
        var owner = tensor(owners.ToArray(), device: device);
        var visible = owner.unsqueeze(1).eq(owner).logical_or(owner.logical_not()).tril();
        if (window < example.LongestSequence)
        {
            var position = tensor(new SequenceLayout([example]).Positions, device: device);
            visible = visible.logical_and((position.unsqueeze(1) - position).Below(window));
        }
        return visible.MoveToOuterDisposeScope();
    }

    /// <summary>0 where visible and −∞ where not, as attention adds it to its scores.</summary>
    public static Tensor Additive(Tensor visible, ScalarType dtype)
    {
        using var nothing = zeros(visible.shape, dtype, visible.device);
        return nothing.Masked(visible.logical_not(), double.NegativeInfinity);
    }
}
