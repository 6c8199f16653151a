using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What mutated losses were seen to get away with: borders of arguments, divergences of all losses that take one, rewards without a
/// reference, missing arguments.</summary>
public class LossBorderTests
{
    private static readonly double[] Refused = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];

    public static TheoryData<string, double[], double[]> Arguments => new()
    {
        { "kto desirable", [0, 0.5, 3], [-1e-9, .. Refused] },
        { "kto undesirable", [0, 0.5, 3], [-1e-9, .. Refused] },
        { "ld", [0, 0.3, 1], [-1e-9, 1.000001, .. Refused] },
        { "rpo", [1e-9, 2], [0, -1, .. Refused] },
        { "simpo", [0, 0.5, 3], [-1e-9, .. Refused] },
        { "unlikelihood", [0, 0.5, 1], [-1e-9, 1.000001, .. Refused] },
        { "discopop", [1e-9, 2], [0, -1, .. Refused] },
        { "alphapo gamma", [0, 0.5, 3], [-1e-9, .. Refused] },
        { "alphapo alpha", [-3, 0, 1, 7], Refused },
        { "dpop", [0, 50], [-1e-9, .. Refused] },
        { "r_dpo", [0, 0.5], [-1e-9, .. Refused] },
        { "odpo", [1e-9, 2], [0, -1, .. Refused] },
        { "cal_dpo", [0, 1], [-1e-9, .. Refused] },
        { "chi_po bound", [1e-9, 2], [0, -1, .. Refused] },
        { "chi_po exponent", [1e-9, 80], [0, 80.001, .. Refused] },
        { "shift", [1e-9, 1], [0, 1.000001, .. Refused] },
        { "last shift", [1e-9, 1], [0, 1.000001, .. Refused] },
        { "cpo smoothing", [0, 0.49], [0.5, -0.1, .. Refused] },
        { "cpo_ipo smoothing", [0], [0.1, 0.5, .. Refused] },
        { "beta_dpo sensitivity", [0, 0.6], [-1e-9, .. Refused] },
        { "beta_dpo filter", [0, 0.99], [-1e-9, 1, .. Refused] },
        { "tdpo2", [0, 0.5], [-1e-9, .. Refused] },
        { "combination", [-1, 0.5], [0, .. Refused] },
        { "alpha divergence", [-3, 0, 1, 7], Refused },
    };

    private static void Make(string what, double value) => ((Action)(what switch
    {
        "kto desirable" => () => _ = new KtoLoss(desirableWeight: value),
        "kto undesirable" => () => _ = new KtoLoss(undesirableWeight: value),
        "ld" => () => _ = new LengthDesensitizedLoss(new DpoLoss(), value),
        "rpo" => () => _ = new RpoLoss(scale: value),
        "simpo" => () => _ = new SimPoLoss(gamma: value),
        "unlikelihood" => () => _ = new UnlikelihoodLoss(value),
        "discopop" => () => _ = new DiscoPopLoss(temperature: value),
        "alphapo gamma" => () => _ = new AlphaPoLoss(gamma: value),
        "alphapo alpha" => () => _ = new AlphaPoLoss(alpha: value),
        "dpop" => () => _ = new DpopLoss(lambda: value),
        "r_dpo" => () => _ = new RDpoLoss(alpha: value),
        "odpo" => () => _ = new OdpoLoss(alpha: value),
        "cal_dpo" => () => _ = new CalDpoLoss(weight: value),
        "chi_po bound" => () => _ = new ChiPoLoss(rewardBound: value),
        "chi_po exponent" => () => _ = new ChiPoLoss(maxExponent: value),
        "shift" => () => _ = new DpoShiftLoss(shift: value),
        "last shift" => () => _ = new DpoShiftLoss(lastShift: value),
        "cpo smoothing" => () => _ = new CpoLoss(labelSmoothing: value),
        "cpo_ipo smoothing" => () => _ = new CpoLoss(labelSmoothing: value, form: CpoForm.Ipo),
        "beta_dpo sensitivity" => () => _ = new BetaDpoLoss(sensitivity: value),
        "beta_dpo filter" => () => _ = new BetaDpoLoss(filteredShare: value),
        "tdpo2" => () => _ = new Tdpo2Loss(alpha: value),
        "combination" => () => _ = new CombinedLoss((new DpoLoss(), 1), (new SftLoss(), value)),
        _ => () => FDivergence.Alpha(value),
    }))();

    [Theory]
    [MemberData(nameof(Arguments))]
    public void Arguments_are_taken_up_to_their_borders_and_refused_in_words_behind_them(string what, double[] taken, double[] refused)
    {
        Assert.All(taken, value => Make(what, value));
        Assert.All(refused, value =>
        {
            var message = Assert.ThrowsAny<ArgumentException>(() => Make(what, value)).Message;
            Assert.Contains(" must ", message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void A_combination_is_of_two() =>
        Assert.StartsWith("A combination needs at least two losses.", Assert.Throws<ArgumentException>(() => new CombinedLoss((new DpoLoss(), 1))).Message, StringComparison.Ordinal);

    [Fact]
    public void Weights_of_a_whole_batch_s_loss_belong_to_no_pair() =>
        Assert.Contains("AotLoss takes the batch as a whole", Assert.Throws<ArgumentException>(() => new WpoLoss(new AotLoss())).Message, StringComparison.Ordinal);

    [Fact]
    public void Length_desensitization_is_refused_by_losses_that_add_up_tokens_in_their_own_way() =>
        Assert.All((IPairLoss[])[new SamPoLoss(), new Tdpo1Loss(), new Tdpo2Loss(), new WpoLoss(new Tdpo2Loss())], loss =>
            Assert.StartsWith(
                $"{loss.GetType().Name} adds up tokens in a way of its own, which length desensitization would undo; leave one of the two out.",
                Assert.Throws<ArgumentException>(() => new LengthDesensitizedLoss(loss, 0.5)).Message, StringComparison.Ordinal));

    /// <summary>With log-ratios 0.7 and −0.4, so that scores of Jensen and Shannon's divergence are log σ(0.7) and log σ(−0.4).</summary>
    [Fact]
    public void Every_loss_of_scores_takes_its_divergence()
    {
        using var scope = NewDisposeScope();
        var pairs = new PairLogProbs(tensor([-2.3]), tensor([-3.4]), tensor([-3.0]), tensor([-3.0]));
        static double LogSigmoid(double x) => -Math.Log(1 + Math.Exp(-x));
        var (chosen, rejected) = (LogSigmoid(0.7), LogSigmoid(-0.4));
        const double beta = 0.5;
        Check(
            new NcaPairLoss(beta, FDivergence.JensenShannon),
            -LogSigmoid(beta * chosen) - (0.5 * (LogSigmoid(-beta * chosen) + LogSigmoid(-beta * rejected))));
        var margin = beta * (chosen - rejected);
        Check(new RobustLoss(beta, 0.2, FDivergence.JensenShannon), ((0.2 * LogSigmoid(-margin)) - (0.8 * LogSigmoid(margin))) / 0.6);
        Check(new SppoHardLoss(beta, FDivergence.JensenShannon), Math.Pow(chosen - 1, 2) + Math.Pow(rejected + 1, 2));
        Check(new HingeLoss(beta, FDivergence.JensenShannon), Math.Max(0, 1 - margin));
        Assert.Equal(("js_divergence", "alpha_divergence"), (FDivergence.JensenShannon.Name, FDivergence.Alpha().Name));

        void Check(IPairLoss loss, double expected) => Numbers.AssertClose([expected], loss.Losses(pairs).ToDoubles(), 1e-12, loss.GetType().Name);
    }

    /// <summary>A completion known by heart has the log-probability 0, and odds that are bounded by those of 1 − 10⁻⁶.</summary>
    [Fact]
    public void The_odds_of_a_completion_known_by_heart_are_finite()
    {
        using var scope = NewDisposeScope();
        var (chosen, rejected) = (tensor([0.0], requires_grad: true), tensor([-2.0], requires_grad: true));
        var loss = new OrpoLoss(beta: 1).Losses(new PairLogProbs(chosen, rejected, ChosenCounts: tensor([3.0]), RejectedCounts: tensor([2.0])));
        loss.sum().backward();
        // log(p/(1−p)) at log p = 0 with 1 − p bounded by 1 − e^(−10⁻⁶), and at log p = −1.
        var odds = -Math.Log(-(Math.Exp(-1e-6) - 1)) - (-1 - Math.Log(1 - Math.Exp(-1)));
        Numbers.AssertClose([Math.Log(1 + Math.Exp(-odds))], loss.ToDoubles(), 1e-9);
        Assert.True(double.IsFinite(chosen.grad!.item<double>()) && double.IsFinite(rejected.grad!.item<double>()));
    }

    [Theory]
    [InlineData("simpo", 2.0)]
    [InlineData("orpo", 0.1)]
    [InlineData("cpo_ipo", 0.5)]
    [InlineData("alphapo", 2.5)]
    public void Rewards_without_a_reference_are_of_the_mean_over_tokens(string name, double beta)
    {
        using var scope = NewDisposeScope();
        var loss = new LossOptions { Names = [name], Beta = beta, CpoAlpha = 0, AlphaPoAlpha = 0 }.Create();
        Assert.False(loss.UsesReference);
        Assert.Equal(LogProbsRequest.None, loss.Needs);
        var part = new PreferenceBatch([new TrainingExample([1], [[2, 3], [4, 5, 6]], [new PreferencePair(0, 1)])]).To(CPU);
        var policy = new CompletionLogProbs(tensor([-1.0, -3, -2, -2, -5]), part.Layout.CompletionOffsets);
        Numbers.AssertClose([-2 * beta, -3 * beta], loss.Rewards(new PreferenceLogProbs(policy, null, part.Preferences)).ToDoubles(), 1e-12);
    }

    [Fact]
    public void Rewards_are_those_that_a_loss_compares()
    {
        using var scope = NewDisposeScope();
        var part = new PreferenceBatch([new TrainingExample([1], [[2, 3], [4, 5, 6]], [new PreferencePair(0, 1)])]).To(CPU);
        var policy = new CompletionLogProbs(tensor([-1.0, -3, -2, -2, -5]), part.Layout.CompletionOffsets);
        double[] Of(IPreferenceLoss loss) => loss.Rewards(new PreferenceLogProbs(policy, null, part.Preferences)).ToDoubles();
        Numbers.AssertClose([-0.4, -0.9], Of(new CpoLoss(0.1)), 1e-12);
        Numbers.AssertClose([-0.4, -0.9], Of(new CpoLoss(0.1, form: CpoForm.Hinge)), 1e-12);
        // Means are −2 and −3: (1 − e^(2α))/α and (1 − e^(3α))/α.
        Numbers.AssertClose([2 * (1 - Math.Exp(0.5)) / 0.25, 2 * (1 - Math.Exp(0.75)) / 0.25], Of(new AlphaPoLoss(2, alpha: 0.25)), 1e-12);
    }

    [Fact]
    public void Baselines_on_the_policy_alone_need_no_reference()
    {
        Assert.False(new UnlikelihoodLoss().UsesReference);
        Assert.False(new SftLoss().UsesReference);
        Assert.True(new DpoLoss().UsesReference);
    }

    [Fact]
    public void Nothing_in_place_of_pairs_is_refused_by_name()
    {
        IPairLoss[] losses =
        [
            new AotLoss(), new AotUnpairedLoss(), new ApoDownLoss(), new ApoZeroLoss(), new BcoPairLoss(), new DiscoPopLoss(), new DpoLoss(), new ExoPairLoss(),
            new HingeLoss(), new IpoLoss(), new IpoSumLoss(), new NcaPairLoss(), new OrpoLoss(), new RobustLoss(), new RpoLoss(), new SigmoidNormLoss(), new SimPoLoss(),
            new SppoHardLoss(), new UnlikelihoodLoss(), new WpoLoss(new DpoLoss()), new AlphaPoLoss(), new CalDpoLoss(), new ChiPoLoss(), new CpoLoss(),
            new DpopLoss(), new DpoShiftLoss(), new OdpoLoss(), new RDpoLoss(),
            new BetaDpoLoss(), new SamPoLoss(), new Tdpo1Loss(), new Tdpo2Loss(),
        ];
        Assert.All(losses, loss => Assert.Equal("pairs", Assert.Throws<ArgumentNullException>(() => loss.Losses(null!)).ParamName));
        IPreferenceLoss[] ofParts = [new KtoLoss(), new SftLoss(), new PlackettLuceLoss()];
        Assert.All(ofParts, loss => Assert.Equal("part", Assert.Throws<ArgumentNullException>(() => loss.Rewards(null!)).ParamName));
    }
}
