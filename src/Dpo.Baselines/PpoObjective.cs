using Dpo.Batching;
using Dpo.Native;
using Dpo.Training;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>PPO's loss of a minibatch of sampled completions: policy loss + coefficient · value loss, each the mean over its
/// tokens.</summary>
internal sealed class PpoObjective(ActorCritic models, PpoOptions options) : Objective(models)
{
    private readonly Dictionary<TrainingExample, Rollout> rollouts = new(ReferenceEqualityComparer.Instance);

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
        new("clip_fraction", whole.CompletionTokens), new("value_clip_fraction", whole.CompletionTokens),
    ];

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceBatch part, PreferenceCounts whole)
    {
        Rollout[] sampled = [.. part.Examples.Select(example => rollouts[example])];
        Tensor Of(Func<Rollout, IEnumerable<float>> values) =>
            DeviceCopy.Of([.. sampled.SelectMany(values)], models.Device);
        Tensor Mean(Tensor tokens) => tokens.sum().DividedBy(whole.CompletionTokens);

        var (logProbs, values) = models.Measure(part.To(models.Device));
        var old = Of(rollout => rollout.LogProbs);
        var (policyLosses, policyClipped) = ClippedLosses.Policy(
            logProbs.PerToken, old, Of(rollout => rollout.Advantages.Select(value => (float)value)), options.ClipRange);
        var (valueLosses, valueClipped) = ClippedLosses.Value(
            values, Of(rollout => rollout.Values), Of(rollout => rollout.Returns.Select(value => (float)value)),
            options.ValueClipRange);
        var (policyLoss, valueLoss) = (Mean(policyLosses), Mean(valueLosses));
        var approximateKl = Mean((logProbs.PerToken.detach() - old).Squared()).Times(0.5);
        return (policyLoss.Plus(valueLoss.Times(options.ValueCoefficient)),
        [
            policyLoss.detach(), valueLoss.detach(), approximateKl, policyClipped.sum(float32), valueClipped.sum(float32),
        ]);
    }
}
