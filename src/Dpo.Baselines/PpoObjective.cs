using Dpo.Batching;
using Dpo.Native;
using Dpo.Training;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>PPO's loss of a minibatch of sampled completions: policy loss + coefficient · value loss, the mean over its tokens
/// and that over its valued states.</summary>
internal sealed class PpoObjective(ActorCritic models, PpoOptions options) : Objective(models)
{
    private readonly Dictionary<TrainingExample, Rollout> rollouts = new(ReferenceEqualityComparer.Instance);
    private readonly ValuedStates states = new(models, options);
    private int stateCount = 1;

    /// <summary>What is learnt from: their examples are the data.</summary>
    public void Take(IEnumerable<Rollout> sampled)
    {
        rollouts.Clear();
        foreach (var rollout in sampled)
            rollouts.Add(rollout.Example, rollout);
    }

    public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) =>
    [
        new("policy_loss"), new("value_loss"), new("approx_kl"),
        new("clip_fraction", whole.CompletionTokens), new("value_clip_fraction", stateCount),
        .. options.DetailedMetrics
            ? [
                new("approx_kl_k1"), new("approx_kl_k3"), new("ratio"), new("ratio_outside", whole.CompletionTokens),
                new("entropy"),
            ]
            : (Metric[])[],
    ];

    /// <summary>Counts the whole batch's states first, which is what values are averaged over.</summary>
    internal override IEnumerable<Tensor> Compute(
        IReadOnlyList<PreferenceBatch> parts, PreferenceCounts whole, int maxTokens, bool train,
        CancellationToken cancellationToken)
    {
        stateCount = parts.Sum(part => part.Examples.Sum(states.CountOf));
        return base.Compute(parts, whole, maxTokens, train, cancellationToken);
    }

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceBatch part, PreferenceCounts whole)
    {
        Rollout[] sampled = [.. part.Examples.Select(example => rollouts[example])];
        Tensor Of(Func<Rollout, IEnumerable<float>> values) =>
            DeviceCopy.Of([.. sampled.SelectMany(values)], models.Device);
        Tensor Mean(Tensor tokens) => tokens.sum().DividedBy(whole.CompletionTokens);

        var (logProbs, entropies, values) = states.Measure(part.Examples);
        var old = Of(rollout => rollout.LogProbs);
        var (policyLosses, policyClipped) = ClippedLosses.Policy(
            logProbs, old, Of(rollout => rollout.Advantages.Select(value => (float)value)), options.ClipRange);
        var (valueLosses, valueClipped) = ClippedLosses.Value(
            values, Of(rollout => rollout.Values), Of(rollout => rollout.Returns.Select(value => (float)value)),
            options.ValueClipRange);
        var (policyLoss, valueLoss) = (Mean(policyLosses), valueLosses.sum().DividedBy(stateCount));
        var change = new PolicyChange(logProbs, old);
        return (policyLoss.Plus(valueLoss.Times(options.ValueCoefficient)),
        [
            policyLoss.detach(), valueLoss.detach(), Mean(change.HalfSquared), policyClipped.sum(float32),
            valueClipped.sum(float32),
            .. options.DetailedMetrics
                ? [
                    Mean(change.K1), Mean(change.K3), Mean(change.Ratios), change.Outside(options.ClipRange).sum(float32),
                    Mean(entropies!),
                ]
                : (Tensor[])[],
        ]);
    }
}
