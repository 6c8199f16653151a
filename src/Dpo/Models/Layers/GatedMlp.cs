using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>A feed-forward layer with a gate (Shazeer 2020): down(activation(gate(x)) · up(x)). Its parameters are those of
/// <c>gate_proj</c>, <c>up_proj</c> and <c>down_proj</c>.</summary>
public sealed class GatedMlp : nn.Module<Tensor, Tensor>
{
    private readonly LinearLayer gate_proj;
    private readonly LinearLayer up_proj;
    private readonly LinearLayer down_proj;
    private readonly Func<Tensor, Tensor> activation;

    /// <summary>Makes the layers; their weights are still to be filled.</summary>
    /// <param name="hiddenSize">Width of the hidden states: D.</param>
    /// <param name="innerSize">Width between the layers.</param>
    /// <param name="hasBias">Whether each has a bias.</param>
    /// <param name="activation">What the gate goes through; SiLU where null.</param>
    public GatedMlp(int hiddenSize, int innerSize, bool hasBias = false, Func<Tensor, Tensor>? activation = null)
        : base("mlp")
    {
        this.activation = activation ?? (x => nn.functional.silu(x));
        gate_proj = new LinearLayer(hiddenSize, innerSize, hasBias);
        up_proj = new LinearLayer(hiddenSize, innerSize, hasBias);
        down_proj = new LinearLayer(innerSize, hiddenSize, hasBias);
        RegisterComponents();
    }

    /// <summary>Maps <c>[N, D]</c> to <c>[N, D]</c> of the same type.</summary>
    public override Tensor forward(Tensor x) => down_proj.call(activation(gate_proj.call(x)) * up_proj.call(x));
}
