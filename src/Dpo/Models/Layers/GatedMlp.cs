using Dpo.Models.Architectures;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>A feed-forward layer with a gate (Shazeer 2020): down(activation(gate(x)) · up(x)).</summary>
internal sealed class GatedMlp : nn.Module<Tensor, Tensor>
{
    private readonly LinearLayer gate_proj;
    private readonly LinearLayer up_proj;
    private readonly LinearLayer down_proj;
    private readonly Func<Tensor, Tensor> activation;

    /// <summary>Makes the layers.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="hasBias">Whether each has a bias.</param>
    /// <param name="activation">What the gate goes through; SiLU where null.</param>
    public GatedMlp(DecoderConfig config, bool hasBias = false, Func<Tensor, Tensor>? activation = null)
        : base("mlp")
    {
        this.activation = activation ?? (x => nn.functional.silu(x));
        gate_proj = new LinearLayer(config.HiddenSize, config.InnerSize, hasBias);
        up_proj = new LinearLayer(config.HiddenSize, config.InnerSize, hasBias);
        down_proj = new LinearLayer(config.InnerSize, config.HiddenSize, hasBias);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => down_proj.Forward(activation(gate_proj.Forward(x)) * up_proj.Forward(x));
}
