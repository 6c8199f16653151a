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

    /// <summary>Notes, in the forward pass, what the gradient of the first input will be like, for
    /// <see cref="OfFailure"/>.</summary>
    public static void Expect(autograd.AutogradContext ctx, Tensor first) =>
        ctx.save_data(nameof(BackwardResult), (first.shape, first.dtype, first.device));

    /// <summary>The list that a pass returns which failed. The failure is kept, and zeros go on from the first input: a pass of
    /// our own that is handed no gradient ends the process, before a line of it is run.</summary>
    /// <param name="ctx">What the forward pass noted by <see cref="Expect"/>.</param>
    /// <param name="failure">What it failed with.</param>
    /// <param name="inputs">How many inputs there are.</param>
    public static List<Tensor> OfFailure(autograd.AutogradContext ctx, Exception failure, int inputs)
    {
        BackwardFailure.Keep(failure);
        var gradients = new Tensor?[inputs];
        try
        {
            var (shape, dtype, device) = ((long[], ScalarType, Device))ctx.get_data(nameof(BackwardResult));
            // One number seen everywhere, since the failure may have been for want of memory.
            using var zero = zeros([], dtype, device);
            gradients[0] = zero.expand(shape);
        }
        catch (Exception e)
        {
            BackwardFailure.Keep(e);
        }
        return Of(gradients);
    }
}
