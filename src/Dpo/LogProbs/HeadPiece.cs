using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>Some vocabulary entries of an output head, read and cast once for all rows; of the current dispose scope.</summary>
internal sealed class HeadPiece
{
    private readonly OutputHead head;
    private readonly long column, columns;
    private readonly Tensor? bias;

    /// <summary>Takes a piece.</summary>
    /// <param name="head">The head; where it has no weight, hidden states are the logits.</param>
    /// <param name="column">The first entry.</param>
    /// <param name="columns">How many there are.</param>
    /// <param name="dtype">The hidden states' type.</param>
    public HeadPiece(OutputHead head, long column, long columns, ScalarType dtype)
    {
        (this.head, this.column, this.columns) = (head, column, columns);
        Weight = head.Weight is null ? null : head.Columns(all => all.detach().narrow(0, column, columns), dtype);
        bias = head.Bias?.detach().narrow(0, column, columns);
    }

    /// <summary>Its rows of the weight, those of an adapter behind them; null where the head has none.</summary>
    public Tensor? Weight { get; }

    /// <summary>The logits of hidden states, fp32; free to be overwritten where the head has a weight.</summary>
    public Tensor Logits(Tensor states)
    {
        if (Weight is null)
            return states.narrow(1, column, columns).to(float32);
        var logits = MixedPrecision.Product(states, Weight.t());
        if (bias is not null)
            logits.AddInPlace(bias);
        return Cap(head, logits);
    }

    /// <summary>Applies the soft cap, in place.</summary>
    public static Tensor Cap(OutputHead head, Tensor logits) =>
        head.SoftCap is { } cap ? logits.DivideInPlace(cap).tanh_().MultiplyInPlace(cap) : logits;
}
