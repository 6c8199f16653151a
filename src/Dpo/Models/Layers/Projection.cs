using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>A linear layer of a transformer, <c>[N, in] → [N, out]</c>, computed in its input's precision whatever the weight's.</summary>
internal abstract class Projection : nn.Module
{
    protected Projection(string name)
        : base(name)
    {
    }

    /// <summary>Applies the layer.</summary>
    public abstract Tensor Forward(Tensor x);
}

/// <summary>A linear layer as most architectures store it: the weight is <c>[out, in]</c>.</summary>
internal sealed class LinearLayer : Projection
{
    private readonly Parameter weight;
    private readonly Parameter? bias;

    public LinearLayer(int inputs, int outputs, bool hasBias)
        : base(nameof(LinearLayer))
    {
        weight = nn.Parameter(empty(outputs, inputs));
        bias = hasBias ? nn.Parameter(empty(outputs)) : null;
        RegisterComponents();
    }

    /// <summary>The weight, for a head that is computed in chunks.</summary>
    public Tensor Weight => weight;

    /// <summary>The bias, or null.</summary>
    public Tensor? Bias => bias;

    public override Tensor Forward(Tensor x) => nn.functional.linear(x, weight.to(x.dtype), bias?.to(x.dtype));
}

/// <summary>A linear layer as GPT-2 stores it: the weight is <c>[in, out]</c>.</summary>
internal sealed class Conv1D : Projection
{
    private readonly Parameter weight;
    private readonly Parameter bias;

    public Conv1D(int inputs, int outputs)
        : base(nameof(Conv1D))
    {
        weight = nn.Parameter(empty(inputs, outputs));
        bias = nn.Parameter(empty(outputs));
        RegisterComponents();
    }

    public override Tensor Forward(Tensor x) => addmm(bias.to(x.dtype), x, weight.to(x.dtype), beta: 1, alpha: 1);
}
