using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>A linear layer of a transformer, <c>[N, in] → [N, out]</c>, computed in its input's precision whatever the weight's.</summary>
internal abstract class Projection : nn.Module
{
    private Tensor? heldWeight;
    private Tensor? heldBias;

    protected Projection(string name)
        : base(name)
    {
    }

    /// <summary>Applies the layer.</summary>
    public Tensor Forward(Tensor x)
    {
        if (heldWeight is not null && heldWeight.dtype == x.dtype)
            return Product(x, heldWeight, heldBias);
        var (weight, bias) = Parameters;
        return Product(x, weight.to(x.dtype), bias?.to(x.dtype));
    }

    /// <summary>Keeps weight and bias in a precision, so that they are not cast in every call, until <see cref="Release"/>. What the
    /// parameters become in between has no effect.</summary>
    public void Hold(ScalarType dtype)
    {
        Release();
        var (weight, bias) = Parameters;
        heldWeight = Held(weight.detach(), dtype).DetachFromDisposeScope();
        heldBias = bias?.detach().to(dtype).DetachFromDisposeScope();
    }

    /// <summary>Frees what <see cref="Hold"/> keeps.</summary>
    public void Release()
    {
        heldWeight?.Dispose();
        heldBias?.Dispose();
        (heldWeight, heldBias) = (null, null);
    }

    /// <summary>The weight in a precision, laid out in memory as its product is fastest.</summary>
    protected virtual Tensor Held(Tensor weight, ScalarType dtype) => weight.to(dtype);

    /// <summary>Weight and bias, as the layer's kind stores them.</summary>
    protected abstract (Tensor Weight, Tensor? Bias) Parameters { get; }

    /// <summary>The layer with a weight and a bias of the input's precision.</summary>
    protected abstract Tensor Product(Tensor x, Tensor weight, Tensor? bias);
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

    protected override (Tensor Weight, Tensor? Bias) Parameters => (weight, bias);

    protected override Tensor Product(Tensor x, Tensor weight, Tensor? bias) => nn.functional.linear(x, weight, bias);
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

    protected override (Tensor Weight, Tensor? Bias) Parameters => (weight, bias);

    /// <remarks>A bf16 product of few rows is faster by a fifth where a row of memory holds one output's weights.</remarks>
    protected override Tensor Held(Tensor weight, ScalarType dtype) =>
        weight.dtype == dtype ? weight : weight.t().to(dtype).contiguous().t();

    protected override Tensor Product(Tensor x, Tensor weight, Tensor? bias) => addmm(bias!, x, weight, beta: 1, alpha: 1);
}
