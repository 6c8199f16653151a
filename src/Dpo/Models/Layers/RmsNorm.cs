using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Divides by the root of the mean square of the last dimension (Zhang and Sennrich 2019), in fp32, and multiplies by a
/// gain out of its <c>weight</c>.</summary>
public sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly double epsilon;
    private readonly bool aroundOne;

    /// <summary>Makes the norm; its weight is still to be filled.</summary>
    /// <param name="size">Entries of the last dimension.</param>
    /// <param name="epsilon">What is added to the mean square.</param>
    /// <param name="aroundOne">Whether the gain is 1 + weight, as in Gemma, not the weight.</param>
    public RmsNorm(int size, double epsilon, bool aroundOne = false)
        : base(nameof(RmsNorm))
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        weight = CountedParameter.Of(empty(size, device: CPU));
        this.epsilon = epsilon;
        this.aroundOne = aroundOne;
        RegisterComponents();
    }

    /// <summary>Normalizes <c>[…, size]</c> of any type; the answer is fp32.</summary>
    public override Tensor forward(Tensor x)
    {
        x = x.to(float32);
        var gain = aroundOne ? weight.Plus(1) : weight;
        if (DeviceStrategies.AreFor(x.device))
            return FusedRmsNorm.Apply(x, gain, epsilon);
        return x * x.Squared().mean([-1L], keepdim: true).Plus(epsilon).rsqrt() * gain;
    }
}
