using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>LibTorch's root-mean-square norm: one kernel forward and two backward on an NVIDIA GPU, where the same as single
/// operations reads and writes the hidden states a dozen times. On the CPU it is made of those operations itself.</summary>
internal static class FusedRmsNorm
{
    // TorchSharp has no binding for it, but TorchScript sees every operator.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def norm(x, gain, epsilon: float):
            return torch.rms_norm(x, [gain.size(0)], gain, epsilon)

        """);

    /// <summary>x / √(mean(x²) + ε) · gain over the last dimension.</summary>
    /// <param name="x"><c>[…, size]</c>, fp32.</param>
    /// <param name="gain"><c>[size]</c>, fp32.</param>
    /// <param name="epsilon">ε.</param>
    public static Tensor Apply(Tensor x, Tensor gain, double epsilon)
    {
        using var number = epsilon.ToScalar();
        return (Tensor)script.invoke("norm", x, gain, number);
    }
}
