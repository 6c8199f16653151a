using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Shifts and scales the last dimension to mean 0 and variance 1, then by weights of its own (Ba et al. 2016).</summary>
internal sealed class LayerNorm : nn.Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter bias;
    private readonly double epsilon;

    /// <summary>Makes the norm; its weights are still to be filled.</summary>
    /// <param name="size">Entries of the last dimension.</param>
    /// <param name="epsilon">What is added to the variance.</param>
    public LayerNorm(int size, double epsilon)
        : base(nameof(LayerNorm))
    {
        weight = CountedParameter.Of(empty(size, device: CPU));
        bias = CountedParameter.Of(empty(size, device: CPU));
        this.epsilon = epsilon;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => nn.functional.layer_norm(input, weight.shape, weight, bias, epsilon);
}
