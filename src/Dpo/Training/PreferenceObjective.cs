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
/// <param name="options">Which metrics are measured, and how the reference moves.</param>
internal sealed class PreferenceObjective(
    CausalLanguageModel policy, PolicyReferencePair? pair, IPreferenceLoss loss, TrainingOptions options)
    : LogProbObjective(policy)
{
    /// <summary>What the names of a loss's own tensors begin with in checkpoints; no parameter's does.</summary>
    private const string OfLoss = "loss:";

    private readonly PolicyReferencePair? pair = loss.UsesReference ? pair : null;

    protected override bool IsBatchCoupled => loss.IsBatchCoupled;

    protected override LogProbsRequest Needs { get; } = loss.Needs.And(new() { Statistics = options.DetailedMetrics });

    public override void Require(PreferenceData data)
    {
        if (Needs.ReferenceKl)
            pair?.RequireDistributionsFor(data);
        pair?.RequireReferenceFor(data);
        if (options.MoveReferenceEvery is not null && data.Find(example => example.HasReference) is { } example)
            throw new InvalidOperationException(
                $"The reference moves every {options.MoveReferenceEvery} steps, but the example " +
                $"{example.Source ?? "without a source"} carries log-probabilities of the reference as it was; train on data " +
                "without ReferenceLogProbs, or leave MoveReferenceEvery out.");
    }

    public override IEnumerable<RunFact> Facts() =>
    [
        new("the loss", loss.Description, OnChange.RefuseUnlessAllowed),
        .. pair?.ReferenceDigest() is { } digest ? [new("the reference", digest, OnChange.Refuse)] : (RunFact[])[],
    ];

    public override void AfterUpdate(int stepsMade)
    {
        if (stepsMade % options.MoveReferenceEvery == 0)
            pair!.MoveReference(options.MoveReferenceBy);
    }

    internal override void Reach(int stepsMade, int totalSteps) => loss.Reach(stepsMade, totalSteps);

    public override IEnumerable<(string Name, Tensor Tensor)> State() =>
        (pair?.MovedReference ?? []).Concat(loss.State().Select(own => (OfLoss + own.Name, own.Tensor)));

    public override void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        // A reference is as large as the model, and is copied tensor by tensor; what a loss has is small.
        var ofLoss = new List<(string Name, Tensor Tensor)>();
        using var ofReference = state.Where(named =>
        {
            var isOfLoss = named.Name.StartsWith(OfLoss, StringComparison.Ordinal);
            if (isOfLoss)
                ofLoss.Add((named.Name[OfLoss.Length..], named.Tensor.clone()));
            return !isOfLoss;
        }).GetEnumerator();
        if (ofReference.MoveNext())
            pair?.RestoreReference(FromCurrent(ofReference));
        loss.LoadState(ofLoss);

        static IEnumerable<(string Name, Tensor Tensor)> FromCurrent(IEnumerator<(string Name, Tensor Tensor)> walk)
        {
            do
                yield return walk.Current;
            while (walk.MoveNext());
        }
    }

    protected override CompletionLogProbs? Reference(BatchTensors part) => pair?.LogProbsOfReference(part, Needs);

    public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole)
    {
        var (chosen, rejected) = Counts(whole);
        return
        [
            .. If(chosen > 0, new Metric("rewards/chosen")), .. If(rejected > 0, new Metric("rewards/rejected")),
            .. If(chosen > 0 && rejected > 0, new Metric("rewards/margins")),
            .. If(whole.Pairs > 0, new Metric("rewards/accuracies", whole.Pairs)),
            .. If(chosen > 0, new Metric("logps/chosen")), .. If(rejected > 0, new Metric("logps/rejected")),
            .. options.DetailedMetrics ? DetailedMetrics.OfPairs(whole) : [],
        ];
    }

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var share = loss.Share(part, whole);
        var rewards = loss.Rewards(part);
        var (logProbs, known) = (part.Policy.Sums.detach(), part.Preferences);
        var (chosen, rejected) = whole.Pairs > 0 ? (known.Chosen, known.Rejected) : (known.Desirable, known.Undesirable);
        var (chosenCount, rejectedCount) = Counts(whole);
        Tensor Average(Tensor values, Tensor indices, int count) =>
            values.index_select(0, indices).sum().DividedBy(Math.Max(1, count));

        Tensor Reward(Tensor indices) => rewards.index_select(0, indices);
        var (chosenReward, rejectedReward) = (Average(rewards, chosen, chosenCount), Average(rewards, rejected, rejectedCount));
        return (share,
        [
            .. If(chosenCount > 0, chosenReward), .. If(rejectedCount > 0, rejectedReward),
            .. If(chosenCount > 0 && rejectedCount > 0, chosenReward - rejectedReward),
            .. whole.Pairs > 0 ? [Reward(chosen).gt(Reward(rejected)).sum(float32)] : (Tensor[])[],
            .. If(chosenCount > 0, Average(logProbs, chosen, chosenCount)),
            .. If(rejectedCount > 0, Average(logProbs, rejected, rejectedCount)),
            .. options.DetailedMetrics ? DetailedMetrics.OfPairs(part, whole) : [],
        ]);
    }

    /// <summary>How many there are that metrics of chosen, and of rejected, completions are averages over.</summary>
    private static (int Chosen, int Rejected) Counts(PreferenceCounts whole) =>
        whole.Pairs > 0 ? (whole.Pairs, whole.Pairs) : (whole.Desirable, whole.Undesirable);

    /// <summary>What there is nothing to average for is left out.</summary>
    private static T[] If<T>(bool isMeasured, T value) => isMeasured ? [value] : [];
}
