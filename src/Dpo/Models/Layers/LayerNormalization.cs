using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Layer norm (Ba et al. 2016): shifts and scales the last dimension to mean 0 and variance 1, then by a <c>weight</c>
/// and a <c>bias</c> of its own.</summary>
/// <remarks>Not named LayerNorm, as TorchSharp's is.</remarks>
public sealed class LayerNormalization : nn.Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter bias;
    private readonly double epsilon;

    /// <summary>Makes the norm; its weights are still to be filled.</summary>
    /// <param name="size">Entries of the last dimension.</param>
    /// <param name="epsilon">What is added to the variance.</param>
    public LayerNormalization(int size, double epsilon)
        : base(nameof(LayerNormalization))
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        weight = CountedParameter.Of(empty(size, device: CPU));
        bias = CountedParameter.Of(empty(size, device: CPU));
        this.epsilon = epsilon;
        RegisterComponents();
    }

    /// <summary>Normalizes <c>[…, size]</c>, fp32.</summary>
    public override Tensor forward(Tensor x) => nn.functional.layer_norm(x, weight.shape, weight, bias, epsilon);
}
