using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// What a backward pass of our own hands to autograd. Autograd takes a reference of its own as soon as the pass returns, but
/// cannot free a gradient while our handle lives; so the handle goes with the next pass, not at the end of a step's scope, by
/// which time there would be a gradient for every layer.
/// </summary>
internal static class BackwardResult
{
    [ThreadStatic]
    private static Tensor?[]? handed;

    /// <summary>The list that a pass returns: a gradient for every input, null for none.</summary>
    public static List<Tensor> Of(params Tensor?[] gradients)
    {
        foreach (var gradient in handed ?? [])
            gradient?.Dispose();
        foreach (var gradient in gradients)
            gradient?.DetachFromDisposeScope();
        handed = gradients;
        return [.. gradients.Select(gradient => gradient!)];
    }
}
