using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Samples.Tests;

public class LossCommandOptionsTests
{
    /// <summary>The loss that a command line asks for.</summary>
    private static T Loss<T>(string arguments)
        where T : IPreferenceLoss
    {
        using var output = new TemporaryFolder();
        IPreferenceLoss? loss = null;
        var command = new TrainingCommand("", output.File("out"), defaultBeta: 0.3, Truncation.PaperKeepPromptEnd, comparisons: []);
        Assert.Equal(0, command.Run(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), (settings, _) => loss = settings.Loss));
        return Assert.IsType<T>(loss);
    }

    [Fact]
    public void Every_number_of_a_loss_can_be_set()
    {
        Assert.Equal((0.3, 0), (Loss<DpoLoss>("").Beta, Loss<DpoLoss>("").LabelSmoothing));
        var smoothed = Loss<DpoLoss>("--beta 0.2 --label-smoothing 0.1");
        Assert.Equal((0.2, 0.1), (smoothed.Beta, smoothed.LabelSmoothing));
        var simPo = Loss<SimPoLoss>("--loss simpo --beta 2.5 --simpo-gamma 1.4");
        Assert.Equal((2.5, 1.4), (simPo.Beta, simPo.Gamma));
        Assert.Equal((2, 0.5), (Loss<SimPoLoss>("--loss simpo").Beta, Loss<SimPoLoss>("--loss simpo").Gamma));
        Assert.Equal((0.3, 0.1), (Loss<RobustLoss>("--loss robust").Beta, Loss<RobustLoss>("--loss robust").LabelSmoothing));
        Assert.Equal((0.3, 1e-3), (Loss<ExoPairLoss>("--loss exo_pair").Beta, Loss<ExoPairLoss>("--loss exo_pair").LabelSmoothing));
        Assert.Equal(0.1, Loss<DiscoPopLoss>("--loss discopop --discopop-tau 0.1").Temperature);
        var kto = Loss<KtoLoss>("--loss kto --desirable-weight 1.5 --undesirable-weight 0.5");
        Assert.Equal((1.5, 0.5), (kto.DesirableWeight, kto.UndesirableWeight));
        Assert.Equal(2, Loss<RpoLoss>("--loss rpo_sq --score-scale 2").Scale);
        Assert.Equal(0.05, Loss<UnlikelihoodLoss>("--loss unlikelihood --unlikelihood-alpha 0.05").Alpha);
        Assert.Equal(0.5, Loss<CombinedLoss>("--loss cpo_ipo --cpo-alpha 0.5").Terms[1].Weight);
        Assert.Equal((2.5, 0.1, 0.25), (Loss<AlphaPoLoss>("--loss alphapo").Beta, Loss<AlphaPoLoss>("--loss alphapo").Gamma, Loss<AlphaPoLoss>("--loss alphapo").Alpha));
        var alphaPo = Loss<AlphaPoLoss>("--loss alphapo --beta 3 --alphapo-gamma 0.7 --alphapo-alpha -0.5");
        Assert.Equal((3, 0.7, -0.5), (alphaPo.Beta, alphaPo.Gamma, alphaPo.Alpha));
        Assert.Equal(5, Loss<DpopLoss>("--loss dpop --dpop-lambda 5").Lambda);
        Assert.Equal(0.2, Loss<RDpoLoss>("--loss r_dpo --r-dpo-alpha 0.2").Alpha);
        Assert.Equal((0.5, true), (Loss<OdpoLoss>("--loss odpo_ratio --odpo-alpha 0.5").Alpha, Loss<OdpoLoss>("--loss odpo_ratio").OfRatio));
        Assert.Equal(1, Loss<CalDpoLoss>("--loss cal_dpo --cal-dpo-weight 1").Weight);
        Assert.Equal(2, Loss<ChiPoLoss>("--loss chi_po --chi-po-bound 2").RewardBound);
        var betaDpo = Loss<BetaDpoLoss>("--loss beta_dpo --beta-dpo-a 1 --beta-dpo-filter 0.1");
        Assert.Equal((0.3, 1, 0.1), (betaDpo.Beta, betaDpo.Sensitivity, betaDpo.FilteredShare));
        Assert.Equal(0.7, Loss<Tdpo2Loss>("--loss tdpo2 --tdpo-alpha 0.7").Alpha);
        Assert.Equal((0.3, 0.3), (Loss<Tdpo1Loss>("--loss tdpo1").Beta, Loss<SamPoLoss>("--loss sampo").Beta));
        var shift = Loss<DpoShiftLoss>("--loss dpo_shift --dpo-shift 0.5 --dpo-shift-last 0.75");
        Assert.Equal((0.3, 0.5, 0.75), (shift.Beta, shift.Shift, shift.LastShift));
        Assert.Equal((5, 2), (Loss<SigmoidNormLoss>("--loss dpo_norm").Beta, Loss<SigmoidNormLoss>("--loss dpo_norm --beta 2").Beta));
        Assert.Equal((0.3, 0.8), (Assert.IsType<DpoLoss>(Loss<CombinedLoss>("--loss mpo").Terms[0].Loss).Beta, Loss<CombinedLoss>("--loss mpo").Terms[0].Weight));
        Assert.Equal(0.25, Loss<LengthDesensitizedLoss>("--ld-alpha 0.25").Alpha);
        Assert.Equal(0.2, Loss<WpoLoss>("--loss hinge --use-weighting --beta 0.2").Beta);
    }

    /// <summary>−log σ(β(s_w − s_l)) with the scores s of log-ratios ½ and −1.</summary>
    [Theory]
    [InlineData("", 0.5, -1)]
    [InlineData("--f-divergence forward_kl", -0.60653065971, -2.71828182846)]
    [InlineData("--f-divergence js_divergence", -0.47407698418, -1.31326168752)]
    [InlineData("--f-divergence alpha_divergence", -1.55760156614, -3.29744254140)]
    [InlineData("--f-divergence alpha_divergence --f-alpha 0.25", -0.91638570508, -2.82266668882)]
    public void A_divergence_takes_the_place_of_the_log_ratio(string arguments, double chosen, double rejected)
    {
        using var scope = NewDisposeScope();
        Tensor Of(double value) => tensor(new[] { value });
        var losses = Loss<DpoLoss>(arguments).Losses(new PairLogProbs(Of(0.5), Of(-1), Of(0), Of(0)));
        Numbers.AssertClose(Math.Log(1 + Math.Exp(-0.3 * (chosen - rejected))), losses.item<double>(), 1e-9, arguments);
    }
}
