using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>PPO's losses (Schulman et al. 2017, Eq. 7, and the clipped value loss of its code), token by token:
/// <c>[M]</c>.</summary>
internal static class ClippedLosses
{
    /// <summary>max(−Aρ, −A·clip(ρ, 1 − ε, 1 + ε)) with ρ = π / π_old.</summary>
    /// <returns>The losses, and where the clipped one is the larger.</returns>
    public static (Tensor Losses, Tensor Clipped) Policy(Tensor logProbs, Tensor old, Tensor advantages, double range)
    {
        var ratios = (logProbs - old).exp();
        var plain = -(advantages * ratios);
        var clipped = -(advantages * ratios.AtLeast(1 - range).AtMost(1 + range));
        return (maximum(plain, clipped), clipped.gt(plain));
    }

    /// <summary>½·max((V − R)², (clip(V, V_old − ε, V_old + ε) − R)²).</summary>
    /// <returns>The losses, and where the clipped one is the larger.</returns>
    public static (Tensor Losses, Tensor Clipped) Value(Tensor values, Tensor old, Tensor returns, double range)
    {
        var plain = (values - returns).Squared();
        var clipped = (maximum(minimum(values, old.Plus(range)), old.Minus(range)) - returns).Squared();
        return (maximum(plain, clipped).Times(0.5), clipped.gt(plain));
    }
}
