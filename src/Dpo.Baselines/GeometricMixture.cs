using System.Diagnostics.CodeAnalysis;
using Dpo.Layout;
using Dpo.Models;
using Dpo.Native;
using Dpo.Training;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>π^(1 − m) · π_ref^m, token by token: its logits are (1 − m) · l + m · l_ref, since what either sum of exponentials is
/// falls out. Only to be computed, without gradients.</summary>
internal sealed class GeometricMixture : CausalLanguageModel
{
    private readonly PolicyReferencePair pair;
    private readonly double share;

    public GeometricMixture(PolicyReferencePair pair, double share)
        : base(nameof(GeometricMixture))
    {
        (this.pair, this.share) = (pair, share);
        register_module("policy", pair.Policy);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (pair.Policy.Head.SoftCap is not null)
            throw new ArgumentException(
                "The model's logits have a soft cap, which no mixture of logits can be computed under; take another sampler.",
                nameof(pair));
        // One head over both models' hidden states, side by side: no logits are made but those that are drawn from.
        var (own, other) = (Scaled(pair.Policy, 1 - share), pair.WithReference(model => Scaled(model, share)));
        Head = new OutputHead(
            own.Weight is null ? null : cat([own.Weight, other.Weight!], 1).MoveToOuterDisposeScope(),
            own.Bias?.Plus(other.Bias!).MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public override OutputHead Head { get; }

    /// <inheritdoc/>
    public override int MaxPositions => pair.Policy.MaxPositions;

    /// <inheritdoc/>
    public override Tensor forward(Tensor ids, SequenceLayout layout)
    {
        using var noGrad = no_grad();
        var own = pair.Policy.call(ids, layout);
        var other = pair.WithReference(model => model.call(ids, layout));
        return Head.Weight is null ? own.Times(1 - share).Plus(other.Times(share)) : cat([own, other], 1);
    }

    /// <summary>Disposes its head.</summary>
    [SuppressMessage("Usage", "CA2215", Justification = "The module that it would dispose is the pair's.")]
    protected override void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        Head.Weight?.Dispose();
        Head.Bias?.Dispose();
    }

    /// <summary>A head's columns, an adapter's among them, and bias, times a share.</summary>
    private static (Tensor? Weight, Tensor? Bias) Scaled(CausalLanguageModel model, double share) => (
        model.Head.Weight is null ? null : model.Head.Columns(rows => rows, float32).Times(share),
        model.Head.Bias?.Times(share));
}
