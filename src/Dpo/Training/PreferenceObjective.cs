using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Models;
using Dpo.Native;
using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>A loss of preferences, with the rewards and log-probabilities of chosen and rejected completions, or, where data have
/// labels instead of pairs, of desirable and undesirable ones.</summary>
/// <param name="policy">The model that is trained.</param>
/// <param name="pair">Its pair; null where the loss does without a reference.</param>
/// <param name="loss">The loss.</param>
/// <param name="options">How to train.</param>
internal sealed class PreferenceObjective(CausalLanguageModel policy, PolicyReferencePair? pair, IPreferenceLoss loss, TrainingOptions options)
    : Objective(policy, options)
{
    public override PolicyReferencePair? Pair => loss.UsesReference ? pair : null;

    protected override bool IsBatchCoupled => loss.IsBatchCoupled;

    protected override bool UsesLogSquaredProbs => loss.UsesLogSquaredProbs;

    public override void Require(PreferenceData data)
    {
        base.Require(data);
        Pair?.RequireReferenceFor(data);
        if (Options.MoveReferenceEvery is not null && data.Find(example => example.HasReference) is { } example)
            throw new InvalidOperationException(
                $"The reference moves every {Options.MoveReferenceEvery} steps, but the example {example.Source ?? "without a source"} carries " +
                "log-probabilities of the reference as it was; train on data without ReferenceLogProbs, or leave MoveReferenceEvery out.");
    }

    public override IEnumerable<RunFact> Facts() =>
    [
        new("the loss", LossDescription.Of(loss), Change.Allowed),
        .. Pair?.ReferenceDigest() is { } digest ? new RunFact[] { new("the reference", digest, Change.Refused) } : [],
    ];

    public override void AfterUpdate(int step)
    {
        if (step % Options.MoveReferenceEvery == 0)
            Pair!.MoveReference(Options.MoveReferenceBy);
    }

    public override CompletionLogProbs? Reference(BatchTensors part) => Pair?.ReferenceLogProbs(part);

    public override IReadOnlyList<string?> MetricNames(PreferenceCounts whole)
    {
        var (chosen, rejected) = whole.Pairs > 0 ? (whole.Pairs, whole.Pairs) : (whole.Desirable, whole.Undesirable);
        string? If(bool measured, string name) => measured ? name : null;
        return
        [
            "loss", If(chosen > 0, "rewards/chosen"), If(rejected > 0, "rewards/rejected"),
            If(chosen > 0 && rejected > 0, "rewards/margins"), If(whole.Pairs > 0, "rewards/accuracies"),
            If(chosen > 0, "logps/chosen"), If(rejected > 0, "logps/rejected"),
            .. Options.DetailedMetrics ? DetailedMetrics.PairNames(whole.Pairs > 0) : [],
        ];
    }

    protected override int Count(string metric, PreferenceCounts whole) => metric switch
    {
        "rewards/accuracies" => whole.Pairs,
        DetailedMetrics.TokenAccuracy => whole.ChosenTokens,
        _ => 1,
    };

    public override (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var share = loss.Share(part, whole);
        var rewards = loss.Rewards(part);
        var (logProbs, known) = (part.Policy.Sums.detach(), part.Preferences);
        var paired = whole.Pairs > 0;
        var (chosen, rejected) = paired ? (known.Chosen, known.Rejected) : (known.Desirable, known.Undesirable);
        // Where there is nothing to average, 0 is divided by 1, and not reported.
        var (chosenCount, rejectedCount) = paired
            ? (whole.Pairs, whole.Pairs)
            : (Math.Max(1, whole.Desirable), Math.Max(1, whole.Undesirable));
        Tensor Average(Tensor values, Tensor indices, int count) => values.index_select(0, indices).sum().DividedBy(count);

        var (chosenReward, rejectedReward) = (Average(rewards, chosen, chosenCount), Average(rewards, rejected, rejectedCount));
        var accuracy = paired
            ? rewards.index_select(0, chosen).gt(rewards.index_select(0, rejected)).sum(float32)
            : zeros_like(share);
        var metrics = stack(
        [
            share.detach(), chosenReward, rejectedReward, chosenReward - rejectedReward, accuracy,
            Average(logProbs, chosen, chosenCount), Average(logProbs, rejected, rejectedCount),
            .. Options.DetailedMetrics ? DetailedMetrics.OfPairs(part, whole) : [],
        ]);
        return (share, metrics);
    }
}
