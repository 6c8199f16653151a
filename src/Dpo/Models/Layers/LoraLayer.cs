using Dpo.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>One linear layer's part of a LoRA adapter: what is added to the layer, <c>scale · B(A(dropout(x)))</c>.</summary>
/// <param name="A"><c>[rank, in]</c>.</param>
/// <param name="B"><c>[out, rank]</c>.</param>
/// <param name="Scale">α/rank, or α/√rank.</param>
/// <param name="Dropout">The dropout of the adapter's input, or null.</param>
internal sealed record LoraLayer(LinearLayer A, LinearLayer B, double Scale, LoraDropout? Dropout)
{
    /// <summary>Makes the part of a layer: B is zero, so that nothing is added yet, and A uniform within ±1/√in, which is
    /// PEFT's Kaiming initialization with a = √5.</summary>
    /// <param name="inputs">Columns of the layer's weight as <c>[out, in]</c>.</param>
    /// <param name="outputs">Rows of it.</param>
    /// <param name="rank">The rank of its change.</param>
    /// <param name="scale">What its change is multiplied by.</param>
    /// <param name="device">Where the layer is.</param>
    /// <param name="generator">Draws A, on the CPU.</param>
    /// <param name="dropout">The adapter's dropout, or null.</param>
    public static LoraLayer Create(
        int inputs, int outputs, int rank, double scale, Device device, Generator generator, LoraDropout? dropout)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var a = new LinearLayer(inputs, rank, hasBias: false);
        var b = new LinearLayer(rank, outputs, hasBias: false);
        // On the CPU, so that every device starts from the same numbers.
        a.Weight.uniform_(-1 / Math.Sqrt(inputs), 1 / Math.Sqrt(inputs), generator);
        b.Weight.zero_();
        foreach (var part in (LinearLayer[])[a, b])
        {
            part.to(device);
            part.Weight.DetachFromDisposeScope();
        }
        return new LoraLayer(a, b, scale, dropout);
    }

    /// <summary>The layer's output with the adapter's added.</summary>
    public Tensor AddTo(Tensor output, Tensor x, bool training) =>
        addmm(output, A.call(Dropped(x, training)), B.Weight.t().to(x.dtype), beta: 1, alpha: (float)Scale);

    /// <summary>What B is to be multiplied with, where that is done elsewhere: <c>scale · A(dropout(x))</c>, <c>[N,
    /// rank]</c>.</summary>
    public Tensor LowRank(Tensor x, bool training)
    {
        using var scale = Scale.ToScalar();
        return A.call(Dropped(x, training)).mul(scale);
    }

    /// <summary>Dropout applies only while gradients are recorded: evaluation, sampling and the reference run without
    /// it.</summary>
    private Tensor Dropped(Tensor x, bool training) =>
        Dropout is not null && training && Recomputation.RecordsGradients ? Dropout.Apply(x) : x;
}

/// <summary>Dropout by a generator of its own, which all layers of an adapter share. What is drawn follows from the seed and the
/// number of draws before, so that a run that is resumed draws the same.</summary>
internal sealed class LoraDropout(double rate, int seed)
{
    /// <summary>How often it has drawn.</summary>
    public long Draws { get; set; }

    /// <summary>Zeroes each value with the rate's probability and scales the others so that the mean stays.</summary>
    public Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(RandomDraws.Once(NextSeed), x.device);
        var mask = empty_like(x).bernoulli_(1 - rate, generator).DivideInPlace(1 - rate);
        return (x * mask).MoveToOuterDisposeScope();
    }

    private ulong NextSeed() => CounterRandom.Mix(CounterRandom.Mix((ulong)seed) + (ulong)Draws++);
}
