using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Which rows of an example may see which: the prompt is causal; a completion sees the prompt and its own past.
/// A sliding window takes away what lies too many positions before.</summary>
internal static class SharedPromptMask
{
    /// <summary>The window of a layer that has none.</summary>
    public const int NoWindow = int.MaxValue;

    /// <summary>What attention adds to the scores of examples that are padded to one width, of the current dispose
    /// scope.</summary>
    /// <param name="owner">The owner of each cell, <c>[E, W]</c>, int64: 0 for the prompt, which every later cell sees; the cells
    /// of one completion have the same number; padding, which comes last, has its own.</param>
    /// <param name="position">The position of every cell in its sequence, <c>[E, W]</c>, int64.</param>
    /// <param name="window">How many positions a row sees, itself included; <see cref="NoWindow"/> for all.</param>
    /// <param name="dtype">The data type of the scores.</param>
    /// <returns><c>[E, 1, W, W]</c>, rows by columns. Every row sees itself, so that its softmax is defined.</returns>
    public static Tensor Of(Tensor owner, Tensor position, int window, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var visible = owner.unsqueeze(2).eq(owner.unsqueeze(1)).logical_or(owner.logical_not().unsqueeze(1)).tril();
        if (window != NoWindow)
            visible = visible.logical_and((position.unsqueeze(2) - position.unsqueeze(1)).Below(window));
        return Additive(visible, dtype).unsqueeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>The masks of a style's window.</summary>
    /// <exception cref="InvalidOperationException">None were made for it.</exception>
    public static T Find<T>(Dictionary<int, T> masks, AttentionStyle style) =>
        masks.TryGetValue(style.Window ?? NoWindow, out var found) ? found : throw new InvalidOperationException(
            $"A layer attends through a window of {style.Window} positions, but the model said so of none; " +
            "its StyleOf must say what its layers do.");

    /// <summary>0 where visible and −∞ where not, as attention adds it to its scores.</summary>
    public static Tensor Additive(Tensor visible, ScalarType dtype)
    {
        using var nothing = zeros(visible.shape, dtype, visible.device);
        return nothing.Masked(visible.logical_not(), double.NegativeInfinity);
    }
}
