using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>β-DPO against <c>losses2/losses2.json</c>: three batches one after another, by the authors' code with the likeliest pairs in place of drawn ones.</summary>
public class BetaDpoLossTests
{
    private static readonly JsonElement Runs = Numbers.Json("losses2", "losses2.json").GetProperty("beta_dpo");

    private static BetaDpoLoss Loss(JsonElement run) =>
        new(run.GetProperty("beta").GetDouble(), run.GetProperty("a").GetDouble(), run.GetProperty("filter_fraction").GetDouble());

    private static void AssertStep(JsonElement step, BetaDpoLoss loss, string vectors)
    {
        var pairs = NewerLossFixtureTests.Pairs(NewerLossFixtureTests.Vectors(vectors));
        var losses = loss.Losses(pairs);
        losses.mean().backward();
        var kept = step.GetProperty("kept").Ints();
        var expected = step.GetProperty("per_example").Doubles();
        var share = (double)expected.Length / kept.Length;
        Numbers.AssertClose([.. expected.Select((value, index) => kept.Contains(index) ? share * value : 0)], losses.ToDoubles(), 1e-10, "losses");
        Numbers.AssertClose(step.GetProperty("loss").GetDouble(), losses.mean().item<double>(), 1e-10, "loss");
        Numbers.AssertClose(step.GetProperty("grad_chosen").Doubles(), pairs.PolicyChosen.grad!.ToDoubles(), 1e-10, "chosen gradient");
        Numbers.AssertClose(step.GetProperty("grad_rejected").Doubles(), pairs.PolicyRejected.grad!.ToDoubles(), 1e-10, "rejected gradient");
        Numbers.AssertClose(step.GetProperty("gap_mean_after_update").GetDouble(), loss.State().Single().Tensor.item<double>(), 1e-10, "mean");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Steps_are_the_authors(int index)
    {
        using var scope = NewDisposeScope();
        var run = Runs[index];
        string[] batches = [.. run.GetProperty("batches").EnumerateArray().Select(name => name.GetString()!)];
        var loss = Loss(run);
        Assert.Empty(loss.State());
        foreach (var (number, step) in run.GetProperty("steps").EnumerateArray().Index())
        {
            AssertStep(step, loss, batches[number]);
            // A checkpoint's loss goes on as this one does, and what is measured on the way changes neither.
            var resumed = Loss(run);
            resumed.LoadState(loss.State());
            loss = resumed;
            using var noGrad = no_grad();
            var pairs = NewerLossFixtureTests.Pairs(NewerLossFixtureTests.Vectors("far"));
            Assert.Equal(loss.Losses(pairs).ToDoubles(), loss.Losses(pairs).ToDoubles());
        }
    }

    [Fact]
    public void A_batch_of_one_pair_keeps_it_and_another_state_is_refused()
    {
        using var scope = NewDisposeScope();
        var loss = new BetaDpoLoss(beta: 0.5, sensitivity: 0.6, filteredShare: 0.9);
        // The gap is 2, M = 0.2, and so β = ½(1 + 0.6 · 1.8).
        var losses = loss.Losses(new PairLogProbs(tensor([-1.0]), tensor([-3.0]), tensor([-2.0]), tensor([-2.0])));
        Numbers.AssertClose([Math.Log(1 + Math.Exp(-0.5 * (1 + 0.6 * 1.8) * 2))], losses.ToDoubles(), 1e-12);
        Assert.Equal(
            "The checkpoint's loss has a std, and β-DPO has the scalar mean alone.",
            Assert.Throws<InvalidInputException>(() => loss.LoadState([("std", zeros([]))])).Message);
    }

    [Fact]
    public void Equally_near_pairs_are_kept_as_they_come()
    {
        using var scope = NewDisposeScope();
        var none = zeros(5, float64);
        using var noGrad = no_grad();
        var losses = new BetaDpoLoss(filteredShare: 0.4).Losses(new PairLogProbs(tensor([1.0, -1, 1, -1, 0]), none, none, none));
        Assert.Equal([true, true, false, false, true], losses.ToDoubles().Select(loss => loss > 0));
    }
}
