using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>Trains a policy on preferences with Direct Preference Optimization (Rafailov et al. 2023), or with any other loss of
/// its family.</summary>
/// <remarks>
/// <para>The loss of a step is the batch's, however that is cut into micro-batches: the mean over its pairs for most losses. One
/// that couples the batch (<see cref="IPreferenceLoss.IsBatchCoupled"/>) costs a second forward pass where a batch has several
/// micro-batches.</para>
/// <para>Rewards and log-probabilities are reported of chosen and rejected completions, or, where data have labels instead of
/// pairs, of desirable and undesirable ones.</para>
/// </remarks>
public sealed class DpoTrainer : Trainer
{
    private readonly PolicyReferencePair pair;
    private readonly IPreferenceLoss loss;
    private readonly TrainingOptions options;

    /// <summary>Creates the trainer.</summary>
    /// <param name="pair">The models; they stay the caller's to dispose.</param>
    /// <param name="loss">The loss; plain DPO with β = 0.1 by default.</param>
    /// <param name="options">How to train; the paper's settings by default.</param>
    /// <param name="optimizer">An optimizer of your own over the policy's parameters, made after the policy was moved to its
    /// device; its learning rate follows the options' schedule. By default the one the options name.</param>
    /// <param name="logger">Is told of the run's beginning, evaluations and end.</param>
    public DpoTrainer(
        PolicyReferencePair pair,
        IPreferenceLoss? loss = null,
        TrainingOptions? options = null,
        optim.Optimizer? optimizer = null,
        ILogger? logger = null)
        : base(NotNull(pair).Policy, options, optimizer, logger)
    {
        this.pair = pair;
        this.loss = loss ?? new DpoLoss();
        this.options = options ?? new TrainingOptions();
        if (this.options.MoveReferenceEvery is not null && !this.loss.UsesReference)
            throw new ArgumentException("The loss does without a reference, so there is none to move; leave MoveReferenceEvery out.", nameof(options));
    }

    private protected override bool IsBatchCoupled => loss.IsBatchCoupled;

    private protected override bool UsesLogSquaredProbs => loss.UsesLogSquaredProbs;

    private protected override PolicyReferencePair? Pair => loss.UsesReference ? pair : null;

    private protected override void Require(PreferenceData data)
    {
        if (options.MoveReferenceEvery is not null && data.Examples.FirstOrDefault(example => example.ReferenceLogProbs is not null) is { } example)
            throw new InvalidOperationException(
                $"The reference moves every {options.MoveReferenceEvery} steps, but the example {example.Source ?? "without a source"} carries " +
                "log-probabilities of the reference as it was; train on data without ReferenceLogProbs, or leave MoveReferenceEvery out.");
    }

    private protected override void AfterUpdate(int step)
    {
        if (step % options.MoveReferenceEvery == 0)
            pair.MoveReference(options.MoveReferenceBy);
    }

    private protected override IEnumerable<RunFact> Facts() =>
    [
        new("the loss", LossDescription.Of(loss), Change.Allowed),
        .. loss.UsesReference && pair.ReferenceDigest() is { } digest ? new RunFact[] { new("the reference", digest, Change.Refused) } : [],
    ];

    private protected override CompletionLogProbs? Reference(BatchTensors part) =>
        loss.UsesReference ? pair.ReferenceLogProbs(part) : null;

    private protected override IReadOnlyList<string?> MetricNames(PreferenceCounts whole)
    {
        var (chosen, rejected) = whole.Pairs > 0 ? (whole.Pairs, whole.Pairs) : (whole.Desirable, whole.Undesirable);
        string? If(bool measured, string name) => measured ? name : null;
        return
        [
            "loss", If(chosen > 0, "rewards/chosen"), If(rejected > 0, "rewards/rejected"),
            If(chosen > 0 && rejected > 0, "rewards/margins"), If(whole.Pairs > 0, "rewards/accuracies"),
            If(chosen > 0, "logps/chosen"), If(rejected > 0, "logps/rejected"),
            .. IsDetailed ? DetailedMetrics.PairNames(whole.Pairs > 0) : [],
        ];
    }

    private protected override (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
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
        Tensor Average(Tensor values, Tensor indices, int count) => values.index_select(0, indices).sum() / count;

        var (chosenReward, rejectedReward) = (Average(rewards, chosen, chosenCount), Average(rewards, rejected, rejectedCount));
        var accuracy = paired
            ? rewards.index_select(0, chosen).gt(rewards.index_select(0, rejected)).sum(float32) / chosenCount
            : zeros_like(share);
        var metrics = stack(
        [
            share.detach(), chosenReward, rejectedReward, chosenReward - rejectedReward, accuracy,
            Average(logProbs, chosen, chosenCount), Average(logProbs, rejected, rejectedCount),
            .. IsDetailed ? DetailedMetrics.OfPairs(part, whole) : [],
        ]);
        return (share, metrics);
    }

    private static PolicyReferencePair NotNull(PolicyReferencePair pair)
    {
        ArgumentNullException.ThrowIfNull(pair);
        return pair;
    }
}
