using System.Diagnostics.CodeAnalysis;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>
/// A linear layer of a transformer, <c>[N, in] → [N, out]</c>, computed in its input's precision whatever the weight's. A LoRA
/// adapter may be laid over it.
/// </summary>
[SuppressMessage("Naming", "CA1708", Justification = "Fields are named as the parameters are in files, and no user sees them.")]
public abstract class Projection : nn.Module<Tensor, Tensor>
{
    // Not private: names and moves to a device go by what reflection finds from the class that is made.
    private protected Parameter weight;
    private protected Parameter? bias;

    private LoraLayer? lora;
    private Tensor? merged;
    private Tensor? heldWeight;
    private Tensor? heldBias;

    private protected Projection(string name, long[] shape, long? biases)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Min(), 1);
        weight = CountedParameter.Of(empty(shape, device: CPU));
        bias = biases is { } count ? CountedParameter.Of(empty(count, device: CPU)) : null;
        RegisterComponents();
    }

    /// <summary>The weight, as the layer stores it and without its adapter.</summary>
    public Tensor Weight => weight;

    /// <summary>The bias, or null.</summary>
    public Tensor? Bias => bias;

    /// <summary>Whether the weight is stored as <c>[in, out]</c> (PEFT's <c>fan_in_fan_out</c>).</summary>
    internal abstract bool IsTransposed { get; }

    /// <summary>The adapter's part of this layer, or null.</summary>
    internal LoraLayer? Lora => lora;

    /// <summary>The weight with its adapter added, while it is computed with; else null.</summary>
    internal Tensor? Merged => merged;

    /// <summary>Applies the layer, with its adapter where it has one.</summary>
    /// <param name="x"><c>[N, in]</c>, in the type that the product is computed in.</param>
    /// <returns><c>[N, out]</c> of the same type.</returns>
    public override Tensor forward(Tensor x)
    {
        var output = heldWeight is not null && heldWeight.dtype == x.dtype ? Product(x, heldWeight, heldBias) : Product(x);
        return lora is null || merged is not null ? output : lora.AddTo(output, x, training);
    }

    /// <summary>The layer with a weight and a bias of the input's type in place of its own.</summary>
    internal abstract Tensor Product(Tensor x, Tensor weight, Tensor? bias);

    /// <summary>A weight of this layer as <c>[out, in]</c>, a view.</summary>
    internal Tensor AsMatrix(Tensor weight) => IsTransposed ? weight.t() : weight;

    /// <summary>Keeps weight and bias in a precision, so that they are not cast in every call, until <see cref="Release"/>. What
    /// the parameters become in between has no effect.</summary>
    internal void Hold(ScalarType dtype)
    {
        Release();
        heldWeight = Held((merged ?? weight).detach(), dtype).DetachFromDisposeScope();
        heldBias = bias?.detach().to(dtype).DetachFromDisposeScope();
    }

    /// <summary>Frees what <see cref="Hold"/> keeps.</summary>
    internal void Release()
    {
        heldWeight?.Dispose();
        heldBias?.Dispose();
        (heldWeight, heldBias) = (null, null);
    }

    /// <summary>Lays an adapter over the layer, which owns it from here on.</summary>
    internal void Attach(LoraLayer adapter)
    {
        lora = adapter;
        register_module("lora_A", adapter.A);
        register_module("lora_B", adapter.B);
    }

    /// <summary>The weight with its adapter added, in fp32 at least; a new tensor without gradients.</summary>
    internal Tensor MergedWeight()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var sum = weight.detach().to(weight.ElementSize < 4 ? float32 : weight.dtype, copy: true);
        AsMatrix(sum).addmm_(lora!.B.Weight, lora.A.Weight, beta: 1, alpha: (float)lora.Scale);
        return sum.MoveToOuterDisposeScope();
    }

    /// <summary>Computes with the merged weight from here on; the weight itself stays.</summary>
    internal void Merge() => merged = MergedWeight().DetachFromDisposeScope();

    /// <summary>Computes with the weight and its adapter again.</summary>
    internal void Unmerge()
    {
        merged?.Dispose();
        merged = null;
    }

    /// <summary>Puts another tensor, of any type and device, in the weight's place.</summary>
    internal void Replace(Tensor values, bool isTrained)
    {
        var replacement = CountedParameter.Of(values, isTrained);
        replacement.DetachFromDisposeScope();
        weight.Dispose();
        weight = replacement;
        ConditionallyRegisterParameter(nameof(weight), replacement);
    }

    /// <summary>The weight in a precision, laid out in memory as its product is fastest.</summary>
    private protected virtual Tensor Held(Tensor weight, ScalarType dtype) => weight.to(dtype);

    private Tensor Product(Tensor x)
    {
        var effective = merged ?? weight;
        // Autograd would keep a cast weight for the backward pass: as large as the weight, in every layer.
        var frozen = !effective.requires_grad && bias is not { requires_grad: true };
        return is_grad_enabled() && x.requires_grad && frozen && effective.dtype != x.dtype
            ? FrozenProduct.Apply(this, x, effective)
            : Product(x, effective.to(x.dtype), bias?.to(x.dtype));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Unmerge();
            Release();
        }
        base.Dispose(disposing);
    }
}

/// <summary>A linear layer as most architectures store it: the weight is <c>[out, in]</c>.</summary>
public sealed class LinearLayer : Projection
{
    /// <summary>Makes the layer; its <c>weight</c>, and its <c>bias</c> where it has one, are still to be filled.</summary>
    /// <param name="inputs">Width of what enters.</param>
    /// <param name="outputs">Width of what leaves.</param>
    /// <param name="hasBias">Whether it has a bias.</param>
    public LinearLayer(int inputs, int outputs, bool hasBias)
        : base(nameof(LinearLayer), [outputs, inputs], hasBias ? outputs : null)
    {
    }

    internal override bool IsTransposed => false;

    internal override Tensor Product(Tensor x, Tensor weight, Tensor? bias) => nn.functional.linear(x, weight, bias);
}

/// <summary>A linear layer as GPT-2 stores it: the weight is <c>[in, out]</c>.</summary>
internal sealed class Conv1D : Projection
{
    public Conv1D(int inputs, int outputs)
        : base(nameof(Conv1D), [inputs, outputs], outputs)
    {
    }

    internal override bool IsTransposed => true;

    /// <remarks>A bf16 product of few rows is faster by a fifth where a row of memory holds one output's weights.</remarks>
    private protected override Tensor Held(Tensor weight, ScalarType dtype) =>
        weight.dtype == dtype ? weight : weight.t().to(dtype).contiguous().t();

    internal override Tensor Product(Tensor x, Tensor weight, Tensor? bias) => addmm(bias!, x, weight, beta: 1, alpha: 1);
}
