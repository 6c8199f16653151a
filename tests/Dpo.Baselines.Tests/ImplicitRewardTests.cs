using System.Text.Json;
using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>The reward that a policy is by itself, β (log π − log π_ref), against recorded numbers
/// (<c>Fixtures/reward/implicit.json</c>).</summary>
public class ImplicitRewardTests
{
    private const double Tolerance = 1e-4;

    private static readonly JsonElement[] cases = [.. Numbers.Json("reward", "implicit.json").GetProperty("cases").EnumerateArray()];

    [Fact]
    public void Two_models_are_a_reward()
    {
        var expected = cases.Single(one => one.GetProperty("case").GetString() == "two_checkpoints");
        using var pair = new PolicyReferencePair(
            CausalLanguageModel.Load(Fixture.Path("models", "llama")), CausalLanguageModel.Load(Fixture.Path("models", "gpt2")));
        using var data = Data();
        using var loss = new DpoLoss(expected.GetProperty("beta").GetDouble());
        PairRewards[] rewards = [.. Evaluator.Rewards(pair, data, loss)];
        AssertCase(expected, rewards);
        var measured = Evaluator.Evaluate(pair, data, loss);
        Numbers.AssertClose(expected.GetProperty("accuracy").GetDouble(), measured["rewards/accuracies"], 1e-12);
        Numbers.AssertClose(expected.GetProperty("mean_margin").GetDouble(), measured["rewards/margins"], Tolerance);
    }

    /// <summary>Log-probabilities that were written down are enough.</summary>
    [Fact]
    public void A_trained_run_is_a_reward()
    {
        var expected = cases.Single(one => one.GetProperty("case").GetString() == "trained_dpo_run");
        var run = Numbers.Json("trajectories", "gpt2_adamw", "expected.json");
        using var data = Data();
        using var loss = new DpoLoss(expected.GetProperty("beta").GetDouble());
        CompletionLogProbs LogProbs(string name)
        {
            double[][] sides = [.. new[] { "chosen", "rejected" }
                .Select(side => run.GetProperty(name).GetProperty(side).Doubles())];
            // Chosen and rejected by turns, a value a completion.
            double[] all = [.. sides[0].Zip(sides[1]).SelectMany(both => (double[])[both.First, both.Second])];
            return new CompletionLogProbs(tensor(all, float64), [.. Enumerable.Range(0, all.Length + 1)]);
        }
        using var scope = NewDisposeScope();
        var batch = new PreferenceBatch(data.Examples).To(CPU);
        var (policy, reference) = (LogProbs("final_row_logps"), LogProbs("initial_row_logps"));
        var rewards = loss.Rewards(new PreferenceLogProbs(policy, reference, batch.Preferences)).ToDoubles();
        AssertCase(expected, [.. data.Examples.Select((example, row) => new PairRewards
        {
            Chosen = 0,
            Rejected = 1,
            ChosenReward = rewards[2 * row],
            RejectedReward = rewards[(2 * row) + 1],
            ChosenLogProb = policy.PerToken[2 * row].ToDoubles()[0],
            RejectedLogProb = policy.PerToken[(2 * row) + 1].ToDoubles()[0],
            ChosenTokens = example.Completions[0].Count,
            RejectedTokens = example.Completions[1].Count,
        })]);
    }

    private static void AssertCase(JsonElement expected, PairRewards[] rewards)
    {
        Numbers.AssertClose(expected.GetProperty("chosen_rewards").Doubles(), [.. rewards.Select(pair => pair.ChosenReward)], Tolerance);
        Numbers.AssertClose(
            expected.GetProperty("rejected_rewards").Doubles(), [.. rewards.Select(pair => pair.RejectedReward)], Tolerance);
        AssertShare("accuracy", pair => pair.ChosenReward > pair.RejectedReward);
        AssertShare(
            "length_normalised_accuracy", pair => pair.ChosenReward / pair.ChosenTokens > pair.RejectedReward / pair.RejectedTokens);
        AssertShare("reference_free_accuracy", pair => pair.ChosenLogProb > pair.RejectedLogProb);

        void AssertShare(string name, Func<PairRewards, bool> isSo) => Numbers.AssertClose(
            expected.GetProperty(name).GetDouble(), rewards.Average(pair => isSo(pair) ? 1.0 : 0), 1e-12, name);
    }

    private static PreferenceData Data() => new([.. Numbers.Json("trajectories", "ids.json").GetProperty("rows").EnumerateArray()
        .Select(row => new TokenizedExample(
            row.GetProperty("prompt_ids").Ints(), [row.GetProperty("chosen_ids").Ints(), row.GetProperty("rejected_ids").Ints()],
            [new PreferencePair(0, 1)]))]);
}
