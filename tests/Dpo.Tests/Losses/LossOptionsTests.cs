using static TorchSharp.torch;

namespace Dpo.Tests;

public class LossOptionsTests
{
    public static TheoryData<LossOptions, string> Invalid => new()
    {
        { new() { Names = ["dpo"] }, "The loss 'dpo' is not known; the losses are sigmoid, hinge, ipo, ipo_sum, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sigmoid_norm, sft, sft_norm, simpo, orpo, kto, rpo_sq, rpo_bwd_kl, rpo_fwd_kl, plackett_luce, unlikelihood, cpo, cpo_hinge, cpo_ipo, alphapo, dpop, r_dpo, odpo, odpo_ratio, cal_dpo, chi_po, beta_dpo, sampo, tdpo1, tdpo2, dpo_shift, iterative_rpo, rpo, mpo, dpo_norm." },
        { new() { Names = ["robust"], LabelSmoothing = 0.5 }, "Label smoothing must lie in [0, 0.5)." },
        { new() { Names = ["exo_pair"], LabelSmoothing = 0 }, "Label smoothing must lie in (0, 0.5): at 0 the loss holds the logarithm of 0; take 1e-3." },
        { new() { Names = ["hinge"], LabelSmoothing = 0.1 }, "The loss 'hinge' has no label smoothing; leave it out, or take one of sigmoid, exo_pair, robust, aot, aot_unpaired, cpo." },
        { new() { Names = ["apo_zero"], Divergence = FDivergence.JensenShannon }, "The loss 'apo_zero' is no function of scores, so it takes no divergence (js_divergence); leave it out, or take one of sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, apo_down, discopop, sigmoid_norm." },
        { new() { Names = ["aot"], UseWeighting = true }, "AotLoss takes the batch as a whole, so its losses belong to no pair that could be weighted." },
        { new() { Names = ["kto"], LdAlpha = 0.5 }, "'kto' is no loss of pairs, so length desensitization and WPO's weights do not apply to it; leave them out." },
        { new() { LdAlpha = 1.5 }, "α must lie in [0, 1]." },
        { new() { Beta = 0 }, "β must be a number above 0." },
        { new() { Names = ["unlikelihood"], UnlikelihoodAlpha = -0.1 }, "α must lie in [0, 1]." },
        { new() { Names = ["simpo"], SimPoGamma = double.NaN }, "γ must be a number of at least 0." },
        { new() { Names = ["discopop"], DiscoPopTemperature = 0 }, "τ must be a number above 0." },
        { new() { Names = ["kto"], DesirableWeight = -1 }, "The weight must be a number of at least 0." },
        { new() { Names = ["rpo_sq"], ScoreScale = 0 }, "The scale of scores must be a number above 0." },
        { new() { Names = ["cpo_hinge"], LabelSmoothing = 0.1 }, "The loss 'cpo_hinge' has no label smoothing; leave it out, or take one of sigmoid, exo_pair, robust, aot, aot_unpaired, cpo." },
        { new() { Names = ["dpop"], Divergence = FDivergence.JensenShannon }, "The loss 'dpop' is no function of scores, so it takes no divergence (js_divergence); leave it out, or take one of sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, apo_down, discopop, sigmoid_norm." },
        { new() { Names = ["cpo"], CpoAlpha = double.NaN }, "The weight of SftLoss must be a finite number other than 0." },
        { new() { Names = ["alphapo"], AlphaPoAlpha = double.NaN }, "α must be a finite number." },
        { new() { Names = ["alphapo"], AlphaPoGamma = -1 }, "γ must be a number of at least 0." },
        { new() { Names = ["dpop"], DpopLambda = -1 }, "λ must be a number of at least 0." },
        { new() { Names = ["r_dpo"], RDpoAlpha = -1 }, "α must be a number of at least 0." },
        { new() { Names = ["odpo_ratio"], OdpoAlpha = 0 }, "α must be a number above 0." },
        { new() { Names = ["cal_dpo"], CalDpoWeight = -1 }, "w must be a number of at least 0." },
        { new() { Names = ["chi_po"], ChiPoRewardBound = 0 }, "The bound of rewards must be a number above 0." },
        { new() { Names = ["beta_dpo"], BetaDpoSensitivity = -1 }, "a must be a number of at least 0." },
        { new() { Names = ["beta_dpo"], BetaDpoFilteredShare = 1 }, "The filtered share must lie in [0, 1)." },
        { new() { Names = ["beta_dpo"], UseWeighting = true }, "BetaDpoLoss takes the batch as a whole, so its losses belong to no pair that could be weighted." },
        { new() { Names = ["tdpo2"], TdpoAlpha = -1 }, "α must be a number of at least 0." },
        { new() { Names = ["sampo"], LdAlpha = 0.5 }, "SamPoLoss adds up tokens in a way of its own, which length desensitization would undo; leave one of the two out." },
        { new() { Names = ["dpo_shift"], DpoShift = 1.5 }, "The shift must lie in (0, 1]." },
        { new() { Names = ["dpo_shift"], DpoShiftLast = 0 }, "The shift must lie in (0, 1]." },
        { new() { Names = ["mpo"], Beta = -1 }, "β must be a number above 0." },
        { new() { Names = [] }, "There are 0 losses and 0 weights; name at least one loss, and give one weight for each or none." },
        { new() { Names = ["sigmoid", "sft"], Weights = [1] }, "There are 2 losses and 1 weights; name at least one loss, and give one weight for each or none." },
        { new() { Names = ["sigmoid", "sft"], Weights = [1, 0] }, "The weight of SftLoss must be a finite number other than 0." },
    };

    [Theory]
    [MemberData(nameof(Invalid))]
    public void Invalid_combinations_are_refused_with_the_reason(LossOptions options, string message) =>
        Assert.Equal(message, Assert.Throws<InvalidInputException>(options.Create).Message);

    [Fact]
    public void What_is_refused_by_name_is_refused_by_constructors()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new RobustLoss(labelSmoothing: 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ExoPairLoss(labelSmoothing: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => FDivergence.Alpha(double.NaN));
        Assert.Throws<ArgumentException>(() => new DpoLoss(referenceFree: true, divergence: FDivergence.ForwardKl));
        Assert.Throws<ArgumentException>(() => new CombinedLoss((new SftLoss(), 1)));
    }

    [Fact]
    public void A_loss_that_lacks_what_it_needs_says_so()
    {
        using var scope = NewDisposeScope();
        var (one, pairs) = (zeros(1), new PairLogProbs(zeros(1), zeros(1), zeros(1), zeros(1)));
        Assert.Equal("The loss divides by the completions' lengths, and these were not given.", Assert.Throws<InvalidOperationException>(() => new IpoLoss().Losses(pairs)).Message);
        Assert.StartsWith("The loss compares the policy with a reference", Assert.Throws<InvalidOperationException>(() => new HingeLoss().Losses(new(one, one))).Message, StringComparison.Ordinal);
        Assert.StartsWith("RPO draws rewards to scores, and not every completion has one", Assert.Throws<InvalidInputException>(() => new RpoLoss().Losses(pairs)).Message, StringComparison.Ordinal);
        Assert.StartsWith("ODPO asks for margins that grow with the gap of scores, and not every", Assert.Throws<InvalidInputException>(() => new OdpoLoss().Losses(pairs)).Message, StringComparison.Ordinal);
        using var dpo = new DpoLoss();
        Assert.StartsWith("The pairs carry no weights", Assert.Throws<InvalidOperationException>(() => new WpoLoss(dpo).Losses(pairs)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_and_wrappers_are_applied_to_what_they_belong_to()
    {
        var combined = Assert.IsType<CombinedLoss>(new LossOptions { Names = ["sigmoid", "sft"], Weights = [0.5, 2], LdAlpha = 0.25 }.Create());
        Assert.Equal([0.5, 2], combined.Terms.Select(term => term.Weight));
        Assert.Equal(0.25, Assert.IsType<LengthDesensitizedLoss>(combined.Terms[0].Loss).Alpha);
        Assert.IsType<SftLoss>(combined.Terms[1].Loss);
        Assert.True(combined.UsesReference);
        Assert.False(combined.IsBatchCoupled);
        Assert.True(new LossOptions { Names = ["aot", "sft"] }.Create().IsBatchCoupled);
        var weighted = new LossOptions { Names = ["sigmoid", "sft"], UseWeighting = true }.Create();
        Assert.Equal(new LogProbsRequest { LogSquaredProbs = true }, weighted.Needs);
        Assert.False(new LossOptions { Names = ["simpo", "sft"] }.Create().UsesReference);
        Assert.IsType<CombinedLoss>(new LossOptions { Names = ["sigmoid", "sft"] }.Create());
        Assert.IsType<DpoLoss>(new LossOptions().Create());
    }

    [Fact]
    public void Presets_are_their_losses_with_what_else_was_asked_for()
    {
        var mpo = Assert.IsType<CombinedLoss>(new LossOptions { Names = ["mpo", "hinge"], Weights = [2, 3], LdAlpha = 0.25, Beta = 0.4 }.Create());
        Assert.Equal([1.6, 0.4, 2, 3], mpo.Terms.Select(term => term.Weight));
        Assert.Equal(
            [0.4, 0.4, 0.4], mpo.Terms.Select(term => term.Loss).OfType<LengthDesensitizedLoss>().Select(loss => loss.Beta));
        Assert.IsType<SftLoss>(mpo.Terms[2].Loss);
        Assert.Equal(0.3, Assert.IsType<SigmoidNormLoss>(new LossOptions { Names = ["dpo_norm"], Beta = 0.3 }.Create()).Beta);
        Assert.IsType<CpoLoss>(new LossOptions { Names = ["cpo"], CpoAlpha = 0 }.Create());
        Assert.Equal(["simpo", "alphapo", "rpo", "dpo_norm"], LossOptions.NamesOfOwnBeta);
    }

    /// <summary>In the order of the names.</summary>
    private static readonly IPreferenceLoss[] WithoutNumbers =
    [
        new DpoLoss(), new HingeLoss(), new IpoLoss(), new IpoSumLoss(), new ExoPairLoss(), new NcaPairLoss(), new RobustLoss(), new BcoPairLoss(),
        new SppoHardLoss(), new AotLoss(), new AotUnpairedLoss(), new ApoZeroLoss(), new ApoDownLoss(), new DiscoPopLoss(), new SigmoidNormLoss(),
        new SftLoss(), new SftLoss(perCompletion: true), new SimPoLoss(), new OrpoLoss(), new KtoLoss(), new RpoLoss(distance: RpoDistance.Squared), new RpoLoss(),
        new RpoLoss(distance: RpoDistance.ForwardKl), new PlackettLuceLoss(), new UnlikelihoodLoss(),
        new CombinedLoss((new CpoLoss(), 1), (new SftLoss(), 1)), new CombinedLoss((new CpoLoss(form: CpoForm.Hinge), 1), (new SftLoss(), 1)),
        new CombinedLoss((new CpoLoss(form: CpoForm.Ipo), 1), (new SftLoss(), 1)), new AlphaPoLoss(), new DpopLoss(), new RDpoLoss(), new OdpoLoss(),
        new OdpoLoss(ofRatio: true), new CalDpoLoss(), new ChiPoLoss(), new BetaDpoLoss(), new SamPoLoss(), new Tdpo1Loss(), new Tdpo2Loss(),
        new DpoShiftLoss(),
        new CombinedLoss((new DpoLoss(), 1), (new SftLoss(), 1)), new CombinedLoss((new DpoLoss(0.01), 1), (new SftLoss(), 0.005)),
        new CombinedLoss((new DpoLoss(), 0.8), (new BcoPairLoss(), 0.2), (new SftLoss(), 1)), new SigmoidNormLoss(5),
    ];

    [Fact]
    public void Without_numbers_a_loss_by_name_is_that_of_its_constructor()
    {
        Assert.Equal(
            WithoutNumbers.Select(loss => loss.Description),
            LossOptions.AllNames.Select(name => new LossOptions { Names = [name] }.Create().Description));
        Assert.Equal("SimPoLoss(Beta=2, Gamma=0.5)", new LossOptions { Names = ["simpo"] }.Create().Description);
        Assert.Equal("SimPoLoss(Beta=0.1, Gamma=0.5)", new LossOptions { Names = ["simpo"], Beta = 0.1 }.Create().Description);
        Assert.Equal(0, Assert.IsType<RobustLoss>(new LossOptions { Names = ["robust"], LabelSmoothing = 0 }.Create()).LabelSmoothing);
    }
}
