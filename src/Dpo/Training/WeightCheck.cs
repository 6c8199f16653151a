using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>Looks whether weights are finite, where they lie and without waiting for the answer.</summary>
internal static class WeightCheck
{
    // One operation for all parameters, for which TorchSharp has no binding.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def largest(weights: List[Tensor]) -> Tensor:
            return torch.stack(torch._foreach_norm(weights, float('inf')))

        """);

    /// <summary>A number that is finite only if every weight is: on a CPU their sum, elsewhere the largest magnitude.</summary>
    /// <returns>A scalar of the current dispose scope, on the parameters' device.</returns>
    public static Tensor Of(IReadOnlyList<Parameter> parameters)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        return (DeviceStrategies.AreFor(parameters[0].device) ? Largest(parameters) : Sum(parameters)).MoveToOuterDisposeScope();
    }

    private static Tensor Sum(IReadOnlyList<Parameter> parameters) =>
        stack(parameters.Select(parameter => parameter.sum(float32))).sum();

    private static Tensor Largest(IReadOnlyList<Parameter> parameters)
    {
        // Nothing is largest among nothing.
        var weights = parameters.Where(parameter => parameter.numel() > 0).ToLookup(parameter => parameter.dtype);
        return cat([.. weights.Select(
            ofOneType => script.invoke<Tensor>("largest", (object)ofOneType.ToArray<Tensor>()).to(float32))]).max();
    }
}
