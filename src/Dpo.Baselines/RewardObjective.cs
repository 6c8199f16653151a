using Dpo.Batching;
using Dpo.Native;
using Dpo.Training;
using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>
/// The loss of a reward model (the paper's Eq. 2): −log σ(r_w − r_l − margin), and c·(r_w + r_l)² where rewards are centred; the
/// mean over pairs.
/// </summary>
internal sealed class RewardObjective(RewardModel reward, RewardOptions options) : Objective(reward.Model)
{
    public override void Require(PreferenceData data)
    {
        if (data.Find(example => (long)example.PromptTokens + example.LongestCompletion > Model.MaxPositions) is { } tooLong)
            throw new InvalidInputException(
                $"The example {tooLong.Source ?? "without a source"} is longer than the model's {Model.MaxPositions} " +
                "positions, and a reward is read at the last token; leave it out, or shorten it with a smaller maximum length.");
        if (data.Find(example => example.Counts.Pairs == 0) is { } unpaired)
            throw new InvalidInputException(
                $"The example {unpaired.Source ?? "without a source"} has no pair of a chosen and a rejected completion to " +
                "learn from.");
        if (options.UseMargin && data.Examples.FirstOrDefault(example => example.Scores is null) is { } unscored)
            throw new InvalidInputException(
                $"The example {unscored.Source ?? "without a source"} has no scores, whose difference is a pair's margin; " +
                "score all examples, or leave UseMargin out.");
    }

    public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) =>
    [
        new("accuracy", whole.Pairs), new("margin", whole.Pairs), new("mean_reward", 2 * whole.Pairs),
        new("min_reward") { Fold = MetricFold.Minimum }, new("max_reward") { Fold = MetricFold.Maximum },
    ];

    public override IEnumerable<RunFact> Facts() =>
        [new("the loss", $"center {options.CenterCoefficient:r}, margin {options.UseMargin}", OnChange.RefuseUnlessAllowed)];

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceBatch part, PreferenceCounts whole)
    {
        var rewards = RewardReading.Of(reward.Model, part.Examples, reward.Padding);
        var known = PreferenceTensors.Of(part.Examples, Model.Device);
        var (chosen, rejected) = (rewards.index_select(0, known.Chosen), rewards.index_select(0, known.Rejected));
        var differences = chosen - rejected;
        var losses = -nn.functional.logsigmoid(
            options.UseMargin
                ? differences - (known.Scores!.index_select(0, known.Chosen) - known.Scores.index_select(0, known.Rejected))
                : differences);
        if (options.CenterCoefficient > 0)
            losses = losses.Plus(chosen.Plus(rejected).Squared().Times(options.CenterCoefficient));
        return (losses.sum().DividedBy(whole.Pairs),
        [
            chosen.gt(rejected).sum(float32), differences.detach().sum(), chosen.Plus(rejected).detach().sum(),
            minimum(chosen, rejected).detach().min(), maximum(chosen, rejected).detach().max(),
        ]);
    }
}
