using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>One prompt and a few answers of a token each, with a reward that is known: what the paper's theory says comes out as
/// numbers.</summary>
public class BanditTests
{
    private const double Beta = 0.5;

    /// <summary>What each answer, the token of its index, is worth.</summary>
    private static readonly double[] reward = [1, 0.2, -0.5, 1.5, 0.7, 0];

    private static readonly int[] prompt = [0];

    /// <summary>All pairs, with the exact probability that one is preferred: DPO's optimum is the policy that the reward's optimum under the
    /// KL is, π_ref · exp(r / β) / Z (Eq. 4).</summary>
    [Fact]
    public void DPO_on_all_preferences_reaches_the_closed_form()
    {
        using var policy = Tabular();
        using var pair = new PolicyReferencePair(policy);
        var optimum = Optimum(Probabilities(policy), reward);
        Assert.True(Distance(Probabilities(policy), optimum) > 0.1);
        using var trainer = new DpoTrainer(pair, new ExactPreferences(Beta, isWeighted: true), Options);
        trainer.Train(Pairs());
        Assert.InRange(Distance(Probabilities(policy), optimum), 0, 1e-3);
    }

    /// <summary>The paper's Table 3: where pairs count alike, however well they are told apart already, the policy degenerates.</summary>
    [Fact]
    public void Without_the_gradient_s_weights_the_policy_degenerates()
    {
        using var policy = Tabular();
        using var pair = new PolicyReferencePair(policy);
        var optimum = Optimum(Probabilities(policy), reward);
        using var descent = optim.SGD(policy.parameters(), 10);
        using var trainer = new DpoTrainer(
            pair, new ExactPreferences(Beta, isWeighted: false), Options with { LearningRate = null, Schedule = null }, descent);
        trainer.Train(Pairs());
        var degenerate = Probabilities(policy);
        Assert.True(degenerate.Max() > 0.999, $"{degenerate.Max()}");
        Assert.True(Distance(degenerate, optimum) > 0.3);
    }

    /// <summary>PPO, which samples, comes within 1 % of the best return under the KL, β · log Z.</summary>
    [Fact]
    public void PPO_reaches_the_regularised_return()
    {
        using var policy = new Gpt2(
            new() { VocabularySize = reward.Length, MaxPositions = 2, HiddenSize = 16, LayerCount = 1, HeadCount = 1 }, seed: 2);
        using var pair = new PolicyReferencePair(policy);
        var reference = Probabilities(policy);
        var optimum = Optimum(reference, reward);
        using var trainer = new PpoTrainer(pair, new FunctionReward(answer => (float)reward[answer.Ids[0]]), new PpoOptions
        {
            Rounds = 80,
            RolloutSize = 256,
            Sampling = new() { MaxNewTokens = 1, BatchSize = 256 },
            KlCoefficient = Beta,
            LearningRate = 1e-2,
            Schedule = LearningRateSchedules.Linear(0),
            WhitenAdvantages = false,
            ValueCoefficient = 0.5,
        });
        trainer.Train([prompt]);
        var (best, reached) = (Return(optimum, reference), Return(Probabilities(policy), reference));
        Assert.True(Return(reference, reference) < 0.8 * best);
        Assert.InRange(reached, 0.99 * best, best + 1e-6);
    }

    /// <summary>Eqs. 5 and 6: the reward is β · log(π_r / π_ref) + β · log Z, and Z falls out of the preferences.</summary>
    [Fact]
    public void A_reward_is_its_policy_s_ratio_up_to_a_constant()
    {
        double[] reference = [0.1, 0.2, 0.3, 0.05, 0.15, 0.2];
        var optimum = Optimum(reference, reward);
        var constant = Beta * Math.Log(Partition(reference, reward));
        for (var one = 0; one < reward.Length; one++)
        {
            Assert.Equal(reward[one], Implicit(one) + constant, 1e-12);
            for (var other = 0; other < reward.Length; other++)
                Assert.Equal(Sigmoid(reward[one] - reward[other]), Sigmoid(Implicit(one) - Implicit(other)), 1e-12);
        }

        double Implicit(int answer) => Beta * Math.Log(optimum[answer] / reference[answer]);
    }

    /// <summary>Lemmas 1 and 2, Theorem 1 and Proposition 1: rewards that differ by a constant prefer alike and have one optimum, and one of
    /// them, f(r) = r − β · log Σ π_ref · exp(r / β) (Eq. 8), is the policy's own and has Z = 1 (Eq. 9).</summary>
    [Fact]
    public void A_class_of_rewards_has_one_policy_and_one_member_that_is_the_policy_s()
    {
        double[] reference = [0.1, 0.2, 0.3, 0.05, 0.15, 0.2], shifted = [.. reward.Select(value => value + 3.25)];
        for (var one = 0; one < reward.Length; one++)
        {
            for (var other = 0; other < reward.Length; other++)
                Assert.Equal(Sigmoid(reward[one] - reward[other]), Sigmoid(shifted[one] - shifted[other]), 1e-12);
        }
        Assert.InRange(Distance(Optimum(reference, reward), Optimum(reference, shifted)), 0, 1e-12);
        double[] member = Member(reward), ofShifted = Member(shifted);
        Assert.Equal(1, Partition(reference, member), 1e-12);
        Assert.All(member.Zip(ofShifted), both => Assert.Equal(both.First, both.Second, 1e-12));
        var policy = Optimum(reference, reward);
        Assert.All(member.Index(), of => Assert.Equal(Beta * Math.Log(policy[of.Index] / reference[of.Index]), of.Item, 1e-12));

        double[] Member(double[] of) => [.. of.Select(value => value - (Beta * Math.Log(Partition(reference, of))))];
    }

    /// <summary>Eq. 10: what PPO maximizes, less its soft value β · log Z, is at most 0, and 0 at the optimum alone.</summary>
    [Fact]
    public void The_return_less_the_soft_value_is_minus_a_KL()
    {
        double[] reference = [0.1, 0.2, 0.3, 0.05, 0.15, 0.2];
        var optimum = Optimum(reference, reward);
        foreach (var policy in (double[][])[reference, optimum, [.. reward.Select(_ => 1.0 / reward.Length)]])
        {
            var toOptimum = policy.Zip(optimum, (own, best) => own * Math.Log(own / best)).Sum();
            Assert.Equal(-Beta * toOptimum, Return(policy, reference) - (Beta * Math.Log(Partition(reference, reward))), 1e-12);
        }
    }

    private static TrainingOptions Options => new()
    {
        Optimizer = OptimizerKind.AdamW,
        LearningRate = 0.05,
        Schedule = LearningRateSchedules.Linear(0),
        BatchSize = 1000,
        Steps = 400,
        MaxGradNorm = double.PositiveInfinity,
        WarnOfChosenFall = double.PositiveInfinity,
    };

    private static LogitsModel Tabular()
    {
        var table = nn.Embedding(reward.Length, reward.Length);
        using (no_grad())
            table.weight!.copy_(tensor([.. Enumerable.Range(0, reward.Length * reward.Length).Select(index => (float)Math.Sin(index))])
                .view(reward.Length, reward.Length));
        return new LogitsModel(table);
    }

    private static PreferenceData Pairs()
    {
        var answers = Enumerable.Range(0, reward.Length);
        return new PreferenceData([new TokenizedExample(
            prompt, [.. answers.Select(answer => (int[])[answer])],
            [.. from one in answers from other in answers where one < other select new PreferencePair(one, other)])
        {
            Scores = [.. reward.Select(value => (float)value)],
        }]);
    }

    private static double[] Probabilities(CausalLanguageModel model)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var batch = new PreferenceBatch(
            [new TokenizedExample(prompt, [.. Enumerable.Range(0, reward.Length).Select(answer => (int[])[answer])], [])]);
        return [.. CompletionLogProbs.Compute(model, batch.To(CPU)).Sums.data<float>().ToArray().Select(value => Math.Exp(value))];
    }

    private static double Partition(double[] reference, double[] of) =>
        reference.Zip(of, (probability, value) => probability * Math.Exp(value / Beta)).Sum();

    private static double[] Optimum(double[] reference, double[] of) =>
        [.. reference.Zip(of, (probability, value) => probability * Math.Exp(value / Beta) / Partition(reference, of))];

    private static double Return(double[] policy, double[] reference) =>
        policy.Index().Sum(of => of.Item * (reward[of.Index] - (Beta * Math.Log(of.Item / reference[of.Index]))));

    private static double Distance(double[] one, double[] other) =>
        0.5 * one.Zip(other, (first, second) => Math.Abs(first - second)).Sum();

    private static double Sigmoid(double value) => 1 / (1 + Math.Exp(-value));

    /// <summary>The expectation of DPO's loss over Bradley and Terry's preferences of the scores; or of the margin itself, whose gradient
    /// has no weights.</summary>
    private sealed class ExactPreferences(double beta, bool isWeighted) : PairLoss
    {
        public override double Beta => beta;

        public override Tensor Losses(PairLogProbs pairs)
        {
            var preferred = pairs.ScoreGaps!.sigmoid();
            var margins = pairs.Margins * beta;
            return isWeighted
                ? -(preferred * nn.functional.logsigmoid(margins)) - ((1 - preferred) * nn.functional.logsigmoid(-margins))
                : -(((2 * preferred) - 1) * margins);
        }
    }
}
