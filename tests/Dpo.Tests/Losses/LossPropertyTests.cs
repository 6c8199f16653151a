using CsCheck;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class LossPropertyTests
{
    /// <summary>One pair: log π and log π_ref of both completions, their lengths, and the gap of their scores.</summary>
    private sealed record Pair(double Chosen, double Rejected, double RefChosen, double RefRejected, int ChosenCount, int RejectedCount, double ScoreGap)
    {
        public double ChosenRatio => Chosen - RefChosen;

        public double RejectedRatio => Rejected - RefRejected;

        public Pair Swapped() => new(Rejected, Chosen, RefRejected, RefChosen, RejectedCount, ChosenCount, -ScoreGap);

        public Pair Shifted(double by) => this with { Chosen = Chosen + by, Rejected = Rejected + by };
    }

    // Log-probabilities that lie within a few nats of each other, so that differences are not saturated; and no round numbers, so
    // that they are not at a kink or a tie either.
    private static Gen<Pair[]> AnyPairs(int count) => Gen.Int.Select(seed =>
    {
        var random = new Random(seed);
        double LogProb() => -8 + 6 * random.NextDouble();
        return Enumerable.Range(0, count).Select(_ => new Pair(
            LogProb(), LogProb(), LogProb(), LogProb(), random.Next(1, 7), random.Next(1, 7), 4 * random.NextDouble() - 2)).ToArray();
    });

    private static readonly Gen<Pair> AnyPair = AnyPairs(1).Select(pairs => pairs[0]);

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double LogSigmoid(double x) => -Math.Log(1 + Math.Exp(-x));

    private static (double[] Losses, double[] ChosenGradient, double[] RejectedGradient) Run(IPairLoss loss, params Pair[] pairs)
    {
        using var scope = NewDisposeScope();
        Tensor Of(Func<Pair, double> value) => tensor(pairs.Select(value).ToArray());
        // ODPO refuses a chosen completion with a lower score.
        var given = new PairLogProbs(
            Of(p => p.Chosen).requires_grad_(), Of(p => p.Rejected).requires_grad_(), Of(p => p.RefChosen), Of(p => p.RefRejected),
            Of(p => p.ChosenCount), Of(p => p.RejectedCount),
            Of(p => 3 + (loss is OdpoLoss ? Math.Abs(p.ScoreGap) : p.ScoreGap)), Of(_ => 3))
        {
            ChosenKl = Of(p => -p.RefRejected),
            RejectedKl = Of(p => -p.RefChosen),
        };
        var losses = loss.Losses(given);
        losses.sum().backward();
        return (losses.ToDoubles(), given.PolicyChosen.grad!.ToDoubles(), given.PolicyRejected.grad!.ToDoubles());
    }

    private static double Loss(IPairLoss loss, Pair pair) => Run(loss, pair).Losses[0];

    private static readonly (string Name, IPairLoss Loss)[] All =
    [
        // β-DPO's β follows its input without a gradient: see BetaDpoLossTests.
        .. LossOptions.AllNames.Where(name => name != "beta_dpo")
            .Select(name => (name, new LossOptions { Names = [name], Beta = 0.7, LabelSmoothing = name == "exo_pair" ? 0.2 : 0, CpoAlpha = 0, ChiPoRewardBound = 1 }.Create()))
            .Where(named => named.Item2 is IPairLoss)
            .Select(named => (named.name, (IPairLoss)named.Item2)),
        .. new[] { FDivergence.ForwardKl, FDivergence.JensenShannon, FDivergence.Alpha(0.3), FDivergence.Alpha(2) }
            .Select(divergence => (divergence.Name, (IPairLoss)new DpoLoss(0.7, 0.1, divergence: divergence))),
    ];

    public static TheoryData<int> Losses => [.. Enumerable.Range(0, All.Length)];

    [Theory]
    [MemberData(nameof(Losses))]
    public void Gradients_equal_finite_differences(int index)
    {
        var (name, loss) = All[index];
        AnyPairs(4).Sample(pairs =>
        {
            var (_, chosen, rejected) = Run(loss, pairs);
            const double Step = 1e-5;
            double Slope(Func<Pair, double, Pair> move, int moved)
            {
                double Total(double by) => Run(loss, [.. pairs.Select((pair, i) => i == moved ? move(pair, by) : pair)]).Losses.Sum();
                return (Total(Step) - Total(-Step)) / (2 * Step);
            }
            for (var moved = 0; moved < pairs.Length; moved++)
            {
                Numbers.AssertClose(Slope((pair, by) => pair with { Chosen = pair.Chosen + by }, moved), chosen[moved], 1e-6, name);
                Numbers.AssertClose(Slope((pair, by) => pair with { Rejected = pair.Rejected + by }, moved), rejected[moved], 1e-6, name);
            }
        }, iter: 20, threads: 1);
    }

    /// <summary>Closed forms written out in scalars, of losses that no fixture has.</summary>
    [Fact]
    public void Losses_without_a_fixture_equal_their_formulas()
    {
        Gen.Select(AnyPair, Gen.Double[0.1, 3]).Sample((pair, beta) =>
        {
            void Check(double expected, IPairLoss loss) => Numbers.AssertClose(expected, Loss(loss, pair), 1e-10, loss.GetType().Name);
            var (meanChosen, meanRejected) = (pair.Chosen / pair.ChosenCount, pair.Rejected / pair.RejectedCount);
            Check(-LogSigmoid(beta * (meanChosen - meanRejected) - 0.3), new SimPoLoss(beta, 0.3));
            double LogOdds(double mean) => Math.Log(Math.Exp(mean) / (1 - Math.Exp(mean)));
            Check(-meanChosen - beta * LogSigmoid(LogOdds(meanChosen) - LogOdds(meanRejected)), new OrpoLoss(beta));
            Check(-pair.Chosen + 0.25 * pair.Rejected, new UnlikelihoodLoss(0.25));
            Check(Math.Pow(pair.ChosenRatio - pair.RejectedRatio - 1 / (2 * beta), 2), new IpoSumLoss(beta));

            var (reward, score) = (beta * (pair.ChosenRatio - pair.RejectedRatio), 1.5 * pair.ScoreGap);
            double Kl(double p, double q) => Sigmoid(p) * Math.Log(Sigmoid(p) / Sigmoid(q)) + Sigmoid(-p) * Math.Log(Sigmoid(-p) / Sigmoid(-q));
            Check(Math.Pow(reward - score, 2), new RpoLoss(beta, 1.5, RpoDistance.Squared));
            Check(Kl(score, reward), new RpoLoss(beta, 1.5));
            Check(Kl(reward, score), new RpoLoss(beta, 1.5, RpoDistance.ForwardKl));
        }, iter: 100, threads: 1);
    }

    [Fact]
    public void KTO_equals_its_formula_and_its_KL_gets_no_gradient()
    {
        Gen.Select(Gen.Double[-3, 3].Array[1, 5], Gen.Double[-3, 3].Array[1, 5], Gen.Double[-3, 3].Array[1, 5]).Sample((good, bad, foreign) =>
        {
            using var scope = NewDisposeScope();
            var (desirable, undesirable, mismatched) = (tensor(good, requires_grad: true), tensor(bad, requires_grad: true), tensor(foreign, requires_grad: true));
            var (ofGood, ofBad) = new KtoLoss(0.4, 1.3, 0.8).Losses(desirable, undesirable, mismatched);
            (ofGood.sum() + ofBad.sum()).backward();

            var kl = Math.Max(0, foreign.Average());
            Numbers.AssertClose([.. good.Select(r => 1.3 * (1 - Sigmoid(0.4 * (r - kl))))], ofGood.ToDoubles(), 1e-12);
            Numbers.AssertClose([.. bad.Select(r => 0.8 * (1 - Sigmoid(0.4 * (kl - r))))], ofBad.ToDoubles(), 1e-12);
            double Slope(double x) => Sigmoid(x) * (1 - Sigmoid(x));
            Numbers.AssertClose([.. good.Select(r => -1.3 * 0.4 * Slope(0.4 * (r - kl)))], desirable.grad!.ToDoubles(), 1e-12);
            Numbers.AssertClose([.. bad.Select(r => 0.8 * 0.4 * Slope(0.4 * (kl - r)))], undesirable.grad!.ToDoubles(), 1e-12);
            Assert.Null(mismatched.grad);
        }, iter: 100, threads: 1);
    }

    /// <summary>A reward is known up to a function of the prompt (the paper, section 5.1), so losses of differences do not see
    /// one.</summary>
    [Theory]
    [InlineData("sigmoid")]
    [InlineData("hinge")]
    [InlineData("ipo_sum")]
    [InlineData("exo_pair")]
    [InlineData("robust")]
    [InlineData("discopop")]
    [InlineData("aot")]
    [InlineData("rpo_sq")]
    [InlineData("rpo_bwd_kl")]
    [InlineData("rpo_fwd_kl")]
    [InlineData("r_dpo")]
    [InlineData("odpo")]
    [InlineData("cpo_hinge")]
    public void What_both_completions_gain_does_not_count(string name)
    {
        var loss = All.First(named => named.Name == name).Loss;
        Gen.Select(AnyPair, Gen.Double[-20, 20]).Sample(
            (pair, shift) => Numbers.AssertClose(Loss(loss, pair), Loss(loss, pair.Shifted(shift)), 1e-10, name), iter: 50, threads: 1);
    }

    [Fact]
    public void What_all_completions_of_a_ranking_gain_does_not_count()
    {
        Gen.Select(Gen.Double[-5, 5].Array[2, 6], Gen.Double[-20, 20]).Sample((ratios, shift) =>
        {
            using var scope = NewDisposeScope();
            var loss = new PlackettLuceLoss(0.5);
            Numbers.AssertClose(
                loss.Losses(tensor(ratios).unsqueeze(0)).ToDoubles(), loss.Losses(tensor(ratios).unsqueeze(0) + shift).ToDoubles(), 1e-10);
        }, iter: 50, threads: 1);
    }

    [Fact]
    public void Plackett_Luce_of_two_is_DPO()
    {
        Gen.Select(AnyPair, Gen.Double[0.1, 3]).Sample((pair, beta) =>
        {
            using var scope = NewDisposeScope();
            var ranked = new PlackettLuceLoss(beta).Losses(tensor(new[] { pair.ChosenRatio, pair.RejectedRatio }).unsqueeze(0));
            using var dpo = new DpoLoss(beta);
            Numbers.AssertClose(Loss(dpo, pair), ranked.item<double>(), 1e-12);
        }, iter: 50, threads: 1);
    }

    /// <summary>Smoothed labels mix the loss of a pair and of its mirror image: what distinguishes the two shrinks by 1 − 2ε, to
    /// nothing at ½.</summary>
    [Fact]
    public void Label_smoothing_moves_a_loss_towards_symmetry_under_swapping()
    {
        Gen.Select(AnyPair, Gen.Double[0, 0.499]).Sample((pair, epsilon) =>
        {
            using var plain = new DpoLoss(0.7);
            using var smoothed = new DpoLoss(0.7, epsilon);
            var (loss, mirrored) = (Loss(plain, pair), Loss(plain, pair.Swapped()));
            foreach (var conservative in new IPairLoss[] { smoothed, new AotLoss(0.7, epsilon) })
            {
                var (own, swapped) = (Loss(conservative, pair), Loss(conservative, pair.Swapped()));
                Numbers.AssertClose((1 - 2 * epsilon) * (loss - mirrored), own - swapped, 1e-10, "difference");
                Numbers.AssertClose(loss + mirrored, own + swapped, 1e-10, "sum");
            }
            // Robust DPO is made so that its mean over flipped labels is the loss of the true ones.
            var robust = new RobustLoss(0.7, epsilon);
            Numbers.AssertClose(loss, (1 - epsilon) * Loss(robust, pair) + epsilon * Loss(robust, pair.Swapped()), 1e-8, "robust");
            var exo = new ExoPairLoss(0.7, 0.5 - 1e-12);
            Numbers.AssertClose(Loss(exo, pair), Loss(exo, pair.Swapped()), 1e-10, "exo_pair");
        }, iter: 50, threads: 1);
    }

    [Fact]
    public void Losses_and_gradients_are_finite_in_fp32_however_far_apart_policy_and_reference_are()
    {
        using var scope = NewDisposeScope();
        foreach (var (name, loss) in All)
        {
            foreach (var (chosen, rejected, reference) in new[]
            {
                (-1e4f, -1f, -5f), (-1f, -1e4f, -5f), (-1e-9f, -1e-9f, -5f), (-1e4f, -9e3f, -5f), (-5f, -6f, -1e4f),
            })
            {
                var policy = new[] { tensor(new[] { chosen }, requires_grad: true), tensor(new[] { rejected }, requires_grad: true) };
                var losses = loss.Losses(new(policy[0], policy[1], tensor(new[] { reference }), tensor(new[] { reference }), ones(1), ones(1), 2 * ones(1), ones(1)) { ChosenKl = ones(1), RejectedKl = 1e4f * ones(1) });
                losses.sum().backward();
                Assert.All(policy.Select(values => values.grad!).Append(losses), values => Assert.True(double.IsFinite(values.ToDoubles()[0]), $"{name} of {chosen}, {rejected}, {reference}"));
            }
        }
    }
}
