using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Makes parameters that <see cref="Tensor.TotalCount"/> counts once, and no longer when they are disposed.</summary>
/// <remarks>TorchSharp's own way counts the tensor that a parameter is made of as well, and never takes it off, so that the count
/// grew by one a parameter at each load of a model. A parameter that a native module hands out is counted rightly.</remarks>
internal static class CountedParameter
{
    /// <summary>A parameter in place of a tensor: same type, same device, same memory.</summary>
    /// <param name="values">The tensor, which is no longer to be used.</param>
    /// <param name="isTrained">Whether it requires a gradient.</param>
    public static Parameter Of(Tensor values, bool isTrained = true)
    {
        using var noGrad = no_grad();
        // A table without rows: the module draws values for what it has, out of the process's random generator, before it takes
        // these.
        using var nothing = empty([0, 1], values.dtype, values.device);
        using var module = nn.Embedding_from_pretrained(nothing, freeze: !isTrained, device: values.device);
        var parameter = module.weight!;
        parameter.set_(values);
        values.Dispose();
        return parameter;
    }
}
