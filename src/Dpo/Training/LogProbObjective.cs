using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Models;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>
/// An objective that is a function of completions' log-probabilities under the model, and under another one where it is measured
/// against that: DPO and supervised fine-tuning are, and so is a distillation.
/// </summary>
/// <remarks>An example too large to be computed at once (<see cref="TrainingOptions.MicroBatchTokens"/>) is computed a few
/// completions at a time, and a loss may couple its batch: then all log-probabilities come first, without gradients, and each
/// part is computed again.</remarks>
/// <param name="model">As <see cref="Objective"/> takes it.</param>
public abstract class LogProbObjective(CausalLanguageModel model) : Objective(model)
{
    /// <summary>Computes a part of a batch, or of held-out data, from its log-probabilities.</summary>
    /// <param name="part">The log-probabilities, and what is known of the completions. Gradients flow into
    /// <see cref="CompletionLogProbs.PerToken"/> of the policy.</param>
    /// <param name="whole">As for the other overload.</param>
    /// <returns>As the other overload says. It is a function of what is given alone: before a run it is called once with
    /// log-probabilities that are all 0, so that what it refuses is refused then.</returns>
    public abstract (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole);

    /// <inheritdoc/>
    public sealed override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceBatch part, PreferenceCounts whole)
    {
        ArgumentNullException.ThrowIfNull(part);
        var tensors = part.To(Model.Device);
        var (policy, reference) = LogProbsOf(tensors);
        return Measure(new PreferenceLogProbs(policy, reference, tensors.Preferences), whole);
    }

    /// <summary>What the policy is measured against says of a part; by default null, nothing. Called with gradients
    /// off.</summary>
    /// <param name="part">The part, on the model's device; <see cref="BatchTensors.ReferencePerToken"/> is what its data
    /// carry.</param>
    /// <returns>Tensors of the current dispose scope, as <see cref="CompletionLogProbs.Compute"/> makes them with a teacher; with
    /// its <see cref="CompletionLogProbs.Distributions"/> where <see cref="LogProbsRequest.ReferenceKl"/> is needed.</returns>
    protected virtual CompletionLogProbs? Reference(BatchTensors part) => null;

    /// <summary>What is to be computed of the policy beside log-probabilities; by default nothing.</summary>
    protected virtual LogProbsRequest Needs => LogProbsRequest.None;

    /// <summary>Whether the loss of a part depends on the rest of its batch in more than counts, as a sort or a mean does; false
    /// by default. Such a loss is given the whole batch at once, for one more forward pass where that is cut.</summary>
    protected virtual bool IsBatchCoupled => false;

    internal override void RequireMeasurable(PreferenceBatch batch, PreferenceCounts whole)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tensors = batch.To(CPU);
        var nothing = zeros_like(tensors.Targets, float32);
        var logProbs = new CompletionLogProbs(nothing, tensors.Layout.CompletionOffsets)
        {
            ReferenceKl = Needs.ReferenceKl ? nothing : null,
            LogSquaredProbs = Needs.LogSquaredProbs ? nothing : null,
            Statistics = Needs.Statistics ? new TokenStatistics(nothing, nothing, nothing) : null,
        };
        var (loss, metrics) = Measure(new PreferenceLogProbs(logProbs, logProbs, tensors.Preferences), whole);
        Summable(loss, metrics, whole);
    }

    internal override IEnumerable<Tensor> Compute(
        IReadOnlyList<PreferenceBatch> parts, PreferenceCounts whole, int maxTokens, bool train,
        CancellationToken cancellationToken)
    {
        // What a loss must be given at once: the batch, where it couples that; else a part, which may still be too large to be
        // computed at once: many completions that preferences join.
        IEnumerable<IReadOnlyList<PreferenceBatch>> taken = IsBatchCoupled ? [parts] : parts.Select(part => new[] { part });
        return taken.Select(together => together.Sum(part => part.Slices(maxTokens).Count()) > 1
            ? CoupledParts.Run(this, together, whole, maxTokens, train)
            : Compute(together[0], whole, train, cancellationToken));
    }

    /// <summary>The log-probabilities of a part under the model that is trained, and under what it is measured against.</summary>
    internal (CompletionLogProbs Policy, CompletionLogProbs? Reference) LogProbsOf(BatchTensors part)
    {
        // The reference first: it may run on the policy's parameters, whose values may not change once the policy's graph holds
        // on to them.
        var reference = ReferenceOf(part);
        return (PolicyOf(part, reference), reference);
    }

    /// <summary>The log-probabilities of a part under the model that is trained.</summary>
    internal CompletionLogProbs PolicyOf(BatchTensors part, CompletionLogProbs? reference) =>
        CompletionLogProbs.Compute(Model, part, Needs, reference);

    /// <summary>Those that it is measured against.</summary>
    internal CompletionLogProbs? ReferenceOf(BatchTensors part)
    {
        using var noGrad = no_grad();
        return Reference(part);
    }
}
