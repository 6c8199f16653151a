using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>Makes gradients stand in memory, so that a peak above them is not theirs.</summary>
internal static class Gradients
{
    /// <summary>Gives every parameter that is trained a gradient that was written to, not only reserved.</summary>
    public static void StandWithGradients(this nn.Module model)
    {
        // The handles go at once: zero_grad frees a gradient only if no other handle holds it.
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.grad = ones_like(parameter);
    }
}
