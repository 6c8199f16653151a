using System.Text.Json;
using CsCheck;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class DpoLossTests
{
    private static readonly JsonElement Losses = Numbers.Json("losses.json");

    /// <summary>Cases of <c>losses.json</c> that <see cref="DpoLoss"/> covers: TRL's sigmoid, and the paper's code without IPO.</summary>
    public static TheoryData<string, int> PairCases()
    {
        var cases = new TheoryData<string, int>();
        foreach (var (index, item) in Losses.GetProperty("trl").GetProperty("cases").EnumerateArray().Index())
        {
            if (item.GetProperty("loss_type").GetString() == "sigmoid" && Text(item, "f_divergence_type", "reverse_kl") == "reverse_kl")
                cases.Add("trl", index);
        }
        foreach (var (index, item) in Losses.GetProperty("reference_repo").GetProperty("preference_loss").EnumerateArray().Index())
        {
            if (!item.GetProperty("ipo").GetBoolean())
                cases.Add("reference_repo", index);
        }
        return cases;
    }

    private static string Text(JsonElement item, string field, string fallback) =>
        item.TryGetProperty(field, out var value) ? value.GetString()! : fallback;

    [Theory]
    [MemberData(nameof(PairCases))]
    public void Pairs_equal_the_fixture(string source, int index)
    {
        using var scope = NewDisposeScope();
        var item = source == "trl"
            ? Losses.GetProperty("trl").GetProperty("cases")[index]
            : Losses.GetProperty("reference_repo").GetProperty("preference_loss")[index];
        var vectors = Losses.GetProperty("vectors").GetProperty(item.GetProperty("vectors").GetString()!);
        Tensor Vector(string name, bool grad = false) => tensor(vectors.GetProperty(name).Doubles(), requires_grad: grad);
        var (policyChosen, policyRejected) = (Vector("policy_chosen", true), Vector("policy_rejected", true));
        // TRL's sigmoid ignores label smoothing; the paper's code applies it.
        using var loss = source == "trl"
            ? new DpoLoss(item.GetProperty("beta").GetDouble())
            : new DpoLoss(
                item.GetProperty("beta").GetDouble(),
                item.GetProperty("label_smoothing").GetDouble(),
                item.GetProperty("reference_free").GetBoolean());

        var (referenceChosen, referenceRejected) = (Vector("ref_chosen"), Vector("ref_rejected"));
        var losses = loss.Losses(new PairLogProbs(policyChosen, policyRejected, referenceChosen, referenceRejected));
        losses.mean().backward();

        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), losses.ToDoubles(), 1e-10, "losses");
        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), losses.mean().item<double>(), 1e-10, "loss");
        Numbers.AssertClose(item.GetProperty("grad_chosen").Doubles(), policyChosen.grad!.ToDoubles(), 1e-10, "chosen gradient");
        Numbers.AssertClose(item.GetProperty("grad_rejected").Doubles(), policyRejected.grad!.ToDoubles(), 1e-10, "rejected gradient");
        if (source == "reference_repo")
        {
            var chosen = arange(losses.numel());
            var (_, rewards) = loss.call(
                cat([policyChosen, policyRejected]), cat([referenceChosen, referenceRejected]), chosen, chosen + losses.numel());
            double[] expected = [.. item.GetProperty("chosen_rewards").Doubles(), .. item.GetProperty("rejected_rewards").Doubles()];
            Numbers.AssertClose(expected, rewards.ToDoubles(), 1e-10, "rewards");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Index_form_equals_the_papers_listing(int index)
    {
        using var scope = NewDisposeScope();
        var item = Losses.GetProperty("paper").GetProperty("index_based_dpo_loss")[index];
        var policy = tensor(item.GetProperty("pi_logps").Doubles(), requires_grad: true);
        var reference = tensor(item.GetProperty("ref_logps").Doubles());
        Tensor Index(string name) => tensor(item.GetProperty(name).Ints().Select(value => (long)value).ToArray());
        using var loss = new DpoLoss(item.GetProperty("beta").GetDouble());

        var (losses, rewards) = loss.call(policy, reference, Index("yw_idxs"), Index("yl_idxs"));
        losses.mean().backward();

        Numbers.AssertClose(item.GetProperty("losses").Doubles(), losses.ToDoubles(), 1e-10, "losses");
        Numbers.AssertClose(item.GetProperty("rewards").Doubles(), rewards.ToDoubles(), 1e-10, "rewards");
        Numbers.AssertClose(item.GetProperty("grad_of_mean_loss").Doubles(), policy.grad!.ToDoubles(), 1e-10, "gradient");
        Assert.False(rewards.requires_grad);
    }

    /// <summary>Appendix A.4: the gradient of a pair's loss is −β σ(r̂_l − r̂_w) for the chosen, and its negative for the rejected.</summary>
    [Fact]
    public void Gradient_equals_the_closed_form()
    {
        var logProb = Gen.Double[-60, -1];
        Gen.Select(logProb, logProb, logProb, logProb, Gen.Double[0.01, 5]).Sample((w, l, refW, refL, beta) =>
        {
            using var scope = NewDisposeScope();
            using var loss = new DpoLoss(beta);
            var policy = tensor(new[] { w, l }, requires_grad: true);
            var (losses, _) = loss.call(policy, tensor(new[] { refW, refL }), tensor(0L).view(1), tensor(1L).view(1));
            losses.sum().backward();

            var weight = beta / (1 + Math.Exp(beta * (w - refW - (l - refL))));
            Numbers.AssertClose([-weight, weight], policy.grad!.ToDoubles(), 1e-12, "gradient");
        }, iter: 200);
    }

    [Fact]
    public void Equal_policy_and_reference_give_ln_2_and_zero_rewards()
    {
        using var scope = NewDisposeScope();
        using var loss = new DpoLoss(0.1, labelSmoothing: 0.2);
        var logProbs = tensor(new[] { -31.25f, -7.5f, -300.125f });
        var (losses, rewards) = loss.call(logProbs, logProbs, tensor(new[] { 0L, 2L }), tensor(new[] { 1L, 0L }));
        Numbers.AssertClose([Math.Log(2), Math.Log(2)], losses.ToDoubles(), 1e-7, "losses");
        Assert.Equal([0, 0, 0], rewards.ToDoubles());
    }

    [Theory]
    [InlineData(1e4, 0, 0)]
    [InlineData(-1e4, 0, 1e4)]
    [InlineData(1e4, 0.25, 2.5e3)]
    [InlineData(-1e4, 0.25, 7.5e3)]
    public void Extreme_log_ratios_stay_finite(double ratio, double labelSmoothing, double expected)
    {
        using var scope = NewDisposeScope();
        using var loss = new DpoLoss(beta: 1, labelSmoothing);
        var policyChosen = tensor(new[] { (float)ratio }, requires_grad: true);
        var losses = loss.Losses(new PairLogProbs(policyChosen, zeros(1), zeros(1), zeros(1)));
        losses.sum().backward();
        Numbers.AssertClose([expected], losses.ToDoubles(), 1e-6, "loss");
        Numbers.AssertClose([(ratio < 0 ? -1 : 0) + labelSmoothing], policyChosen.grad!.ToDoubles(), 1e-6, "gradient");
    }

    [Fact]
    public void Reference_gets_no_gradient()
    {
        using var scope = NewDisposeScope();
        using var loss = new DpoLoss();
        var (policy, reference) = (zeros(2, requires_grad: true), zeros(2, requires_grad: true));
        loss.call(policy, reference, tensor(0L).view(1), tensor(1L).view(1)).Losses.sum().backward();
        Assert.Null(reference.grad);
        Assert.NotNull(policy.grad);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(-1, 0)]
    [InlineData(double.NaN, 0)]
    [InlineData(double.PositiveInfinity, 0)]
    [InlineData(0.1, 0.5)]
    [InlineData(0.1, -0.1)]
    [InlineData(0.1, double.NaN)]
    public void Values_out_of_range_are_refused(double beta, double labelSmoothing) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new DpoLoss(beta, labelSmoothing));
}
