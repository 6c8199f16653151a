using static TorchSharp.torch;

namespace Dpo.Tests;

public class FDivergenceTests
{
    private static (double[] Scores, double[] Slopes) Run(FDivergence divergence, params float[] ratios)
    {
        using var scope = NewDisposeScope();
        var given = tensor(ratios, requires_grad: true);
        var scores = divergence.Score(given);
        scores.sum().backward();
        return (scores.ToDoubles(), given.grad!.ToDoubles());
    }

    /// <summary>TRL's cap of the exponent: exact up to it, constant beyond.</summary>
    [Fact]
    public void Exponents_above_80_count_as_80()
    {
        var (scores, slopes) = Run(FDivergence.Alpha(0.5), -159, -161, -1e6f);
        Numbers.AssertClose([-2 * Math.Exp(79.5), -2 * Math.Exp(80), -2 * Math.Exp(80)], scores, 1e-5);
        Numbers.AssertClose([Math.Exp(79.5), 0, 0], slopes, 1e-5);
        (scores, slopes) = Run(FDivergence.Alpha(3), 39, 41);
        Numbers.AssertClose([Math.Exp(78) / 2, Math.Exp(80) / 2], scores, 1e-5);
        Numbers.AssertClose([Math.Exp(78), 0], slopes, 1e-5);
        (scores, slopes) = Run(FDivergence.ForwardKl, -79, -81);
        Numbers.AssertClose([-Math.Exp(79), -Math.Exp(80)], scores, 1e-5);
        Numbers.AssertClose([Math.Exp(79), 0], slopes, 1e-5);
    }

    [Fact]
    public void In_fp16_exponents_above_11_count_as_11()
    {
        using var scope = NewDisposeScope();
        var scores = FDivergence.ForwardKl.Score(tensor(new[] { -10f, -12f }).to(float16));
        Numbers.AssertClose([-Math.Exp(10), -Math.Exp(11)], scores.ToDoubles(), 1e-3);
    }

    /// <summary>Both completions far below the reference: equal scores, so the loss says nothing, where it said NaN.</summary>
    [Fact]
    public void A_pair_of_which_both_are_beyond_the_cap_loses_ln_2()
    {
        using var scope = NewDisposeScope();
        using var loss = new DpoLoss(divergence: FDivergence.Alpha(0.5));
        Tensor Of(float value) => tensor(new[] { value });
        Numbers.AssertClose(Math.Log(2), loss.Losses(new PairLogProbs(Of(-200), Of(-300), Of(-1), Of(-1))).item<float>(), 1e-6);
    }
}
