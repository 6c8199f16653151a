using System.Diagnostics.CodeAnalysis;
using Dpo.Batching;
using Dpo.Layout;
using Dpo.LogProbs;
using Dpo.Models;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>A policy and what values its states, trained together: a head on the policy's own hidden states (Ziegler et al.
/// 2019), or a model of its own with a scalar head. The policy stays the caller's to dispose, and so does such a model.</summary>
internal sealed class ActorCritic : CausalLanguageModel
{
    private readonly TransformerModel policy;
    private readonly TransformerModel? value;
    private readonly LinearLayer? v_head;
    private readonly double temperature;

    /// <param name="policy">The policy.</param>
    /// <param name="value">The model of values; null for a head on the policy's hidden states, which begins at 0.</param>
    /// <param name="temperature">What logits are divided by: log-probabilities are those of what is sampled.</param>
    public ActorCritic(TransformerModel policy, TransformerModel? value, double temperature)
        : base(nameof(ActorCritic))
    {
        (this.policy, this.value, this.temperature) = (policy, value, temperature);
        register_module("policy", policy);
        if (value is not null)
        {
            register_module("value", value);
            return;
        }
        using var noGrad = no_grad();
        v_head = new LinearLayer((int)policy.Head.Weight!.shape[1], 1, hasBias: true);
        v_head.Weight.zero_();
        v_head.Bias!.zero_();
        v_head.to(policy.Device);
        register_module("v_head", v_head);
    }

    /// <inheritdoc/>
    public override OutputHead Head => policy.Head;

    /// <inheritdoc/>
    public override int MaxPositions => Math.Min(policy.MaxPositions, value?.MaxPositions ?? int.MaxValue);

    internal override ModelDescription? Description => policy.Description;

    internal override bool TrainsInEvaluationMode => policy.TrainsInEvaluationMode;

    internal override bool IsMerged => policy.IsMerged;

    internal override long DropoutDraws
    {
        get => policy.DropoutDraws;
        set => policy.DropoutDraws = value;
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor ids, SequenceLayout layout) => policy.call(ids, layout);

    /// <summary>The log-probability of every completion's tokens, and the value of the state before each, <c>[M]</c>,
    /// fp32.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="request">What is computed beside log-probabilities.</param>
    public (CompletionLogProbs LogProbs, Tensor Values) Measure(BatchTensors batch, LogProbsRequest? request = null)
    {
        var hidden = call(batch.Ids, batch.Layout);
        var rows = DeviceCopy.Of([.. batch.Layout.RowOfToken], batch.Ids.device);
        Tensor Read(Tensor states) => states.index_select(0, rows).to(float32);
        // Behind the hidden states may lie what an adapter of the output head takes, which is none of the value head's.
        var values = value is null
            ? v_head!.call(Read(hidden).narrow(1, 0, v_head.Weight.shape[1]))
            : value.Head.Logits(Read(value.call(batch.Ids, batch.Layout)));
        return (LogProbs(policy, hidden, batch, temperature, request), values.squeeze(1));
    }

    /// <summary>Log-probabilities at a temperature.</summary>
    public static CompletionLogProbs LogProbs(
        CausalLanguageModel model, Tensor hidden, BatchTensors batch, double temperature, LogProbsRequest? request = null)
    {
        var head = model.Head;
        if (temperature == 1)
            return CompletionLogProbs.OfHidden(head, hidden, batch, model.LogitsMemory, request);
        // Logits over the temperature: those of hidden states, a bias and a soft cap over it.
        return CompletionLogProbs.OfHidden(
            head with { Bias = head.Bias?.DividedBy(temperature), SoftCap = head.SoftCap / temperature },
            hidden.DividedBy(temperature), batch, model.LogitsMemory, request);
    }

    /// <summary>Disposes the value head, where it is its own.</summary>
    [SuppressMessage("Usage", "CA2215", Justification = "The modules that it would dispose are the caller's.")]
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            v_head?.Dispose();
    }
}
