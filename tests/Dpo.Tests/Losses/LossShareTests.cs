using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Shares of batches, worked out by hand: which completion a loss takes for which, and what it divides by.</summary>
public class LossShareTests
{
    /// <summary>Completions of one token each, in the order of the examples.</summary>
    private static PreferenceLogProbs Part(TrainingExample[] examples, double[] policy, double[] reference)
    {
        int[] offsets = [.. Enumerable.Range(0, policy.Length + 1)];
        return new(new(tensor(policy), offsets), new(tensor(reference), offsets), PreferenceTensors.Of(examples, CPU));
    }

    /// <summary>Log-ratios 1, −½ and 2 of desirable completions and 0.4 of the undesirable one; those of other prompts have 0.6 and
    /// −0.2, so KL = 0.2. With β ½, λ_d 1½ and λ_u ½ the losses are 1½·σ(−0.4), 1½·σ(0.35), 1½·σ(−0.9) and ½·σ(0.1).</summary>
    [Fact]
    public void KTO_is_the_mean_over_all_labelled_completions()
    {
        using var scope = NewDisposeScope();
        TrainingExample[] examples =
        [
            new([1], [[2], [3], [4]], []) { Labels = [true, false], MismatchedCount = 1 },
            new([5], [[6], [7], [8]], []) { Labels = [true, true], MismatchedCount = 1 },
        ];
        var part = Part(examples, [-2, -2.6, -1.4, -3.5, -1, -4.2], [-3, -3, -2, -3, -3, -4]);
        var loss = new KtoLoss(0.5, desirableWeight: 1.5, undesirableWeight: 0.5);
        Numbers.AssertClose(0.5444900545023204, loss.Share(part, PreferenceCounts.Of(examples)).item<double>(), 1e-12, "whole");
        Numbers.AssertClose(
            0.5444900545023204 * 4 / 10, loss.Share(part, new PreferenceCounts { Desirable = 7, Undesirable = 3 }).item<double>(), 1e-12, "part");
        Numbers.AssertClose([0.5, 0.2, 0.3, -0.25, 1, -0.1], loss.Rewards(part).ToDoubles(), 1e-12, "rewards");
    }

    /// <summary>The first example's second completion was chosen, with log-ratio −1 against 1 and score 2 against ½; the second
    /// example's first, ½ against 1½ and 3 against 2½. With β ½ and scale 2 rewards differ by −1 and −½, scores by 3 and 1.</summary>
    [Theory]
    [InlineData(RpoDistance.Squared, (16 + 2.25) / 2)]
    [InlineData(RpoDistance.BackwardKl, 0.6661870039205526)]
    [InlineData(RpoDistance.ForwardKl, 0.9662168393582183)]
    public void RPO_draws_rewards_to_the_chosen_completions_score_less_the_rejected_ones(RpoDistance distance, double expected)
    {
        using var scope = NewDisposeScope();
        TrainingExample[] examples =
        [
            new([1], [[2], [3]], [new(1, 0)]) { Scores = [0.5f, 2] },
            new([5], [[6], [7]], [new(0, 1)]) { Scores = [3, 2.5f] },
        ];
        IPreferenceLoss loss = new RpoLoss(0.5, scale: 2, distance);
        var share = loss.Share(Part(examples, [-1, -3, -3.5, -0.5], [-2, -2, -4, -2]), PreferenceCounts.Of(examples));
        Numbers.AssertClose(expected, share.item<double>(), 1e-6, distance.ToString());
    }
}
