using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>SamPO against <c>losses2/token_level.json</c>, given the tokens that were drawn there; and its own draws.</summary>
public class SamPoLossTests
{
    private static readonly JsonElement Fixture = Numbers.Json("losses2", "token_level.json").GetProperty("sampo");

    /// <summary>With one draw for policy and reference, and with two as in the authors' code.</summary>
    [Theory]
    [InlineData(0, "shared")]
    [InlineData(1, "separate")]
    [InlineData(2, "shared")]
    [InlineData(3, "separate")]
    public void Losses_and_gradients_of_drawn_tokens_are_the_authors(int index, string draw)
    {
        using var scope = NewDisposeScope();
        var item = Fixture.GetProperty("cases")[index];
        Assert.Equal(draw, item.GetProperty("draw").GetString());
        (Tensor PerToken, Tensor Sums) Of(string model, string side)
        {
            double[][] values = [.. Fixture.GetProperty("token_logprobs").GetProperty($"{model}_{side}").EnumerateArray().Select(row => row.Doubles())];
            var perToken = tensor(values.SelectMany(row => row).ToArray(), requires_grad: true);
            var first = 0L;
            var tokens = new List<long[]>();
            foreach (var (row, own) in item.GetProperty($"{model}_indices").EnumerateArray().Zip(values))
            {
                tokens.Add([.. row.GetProperty(side).Ints().Select(token => first + token)]);
                first += own.Length;
            }
            return (perToken, SamPoLoss.Sums(perToken, tokens));
        }
        var (chosen, rejected) = (Of("policy", "chosen"), Of("policy", "rejected"));
        var losses = new SamPoLoss(item.GetProperty("beta").GetDouble()).Losses(
            new PairLogProbs(chosen.Sums, rejected.Sums, Of("ref", "chosen").Sums, Of("ref", "rejected").Sums));
        losses.mean().backward();
        double[] Flat(string field) => [.. item.GetProperty(field).EnumerateArray().SelectMany(row => row.Doubles())];
        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), losses.ToDoubles(), 1e-10, "losses");
        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), losses.mean().item<double>(), 1e-10, "loss");
        Numbers.AssertClose(Flat("grad_policy_chosen"), chosen.PerToken.grad!.ToDoubles(), 1e-10, "chosen gradient");
        Numbers.AssertClose(Flat("grad_policy_rejected"), rejected.PerToken.grad!.ToDoubles(), 1e-10, "rejected gradient");
    }

    private static TrainingExample Example(int prompt, int chosen, int rejected) => new(
        [prompt], [[.. Enumerable.Range(10, chosen)], [.. Enumerable.Range(10, rejected)]], [new(0, 1)]);

    [Fact]
    public void A_draw_is_of_as_many_tokens_as_the_shorter_completion_has_and_follows_from_pair_and_seed_alone()
    {
        var pair = new PreferencePair(0, 1);
        var loss = new SamPoLoss();
        var (chosen, rejected) = loss.Draw(Example(1, 12, 5), pair);
        Assert.Equal([0, 1, 2, 3, 4], rejected);
        Assert.Equal((5, 5), (chosen.Length, chosen.Distinct().Count()));
        Assert.Equal(chosen.Order(), chosen);
        Assert.All(chosen, token => Assert.InRange(token, 0, 11));
        Assert.Equal(chosen, new SamPoLoss().Draw(Example(1, 12, 5), pair).Chosen);
        Assert.NotEqual(chosen, new SamPoLoss(seed: 1).Draw(Example(1, 12, 5), pair).Chosen);
        Assert.NotEqual(chosen, loss.Draw(Example(2, 12, 5), pair).Chosen);
        Assert.Equal((3, 3), (loss.Draw(Example(1, 3, 9), pair).Chosen.Length, loss.Draw(Example(1, 3, 9), pair).Rejected.Length));

        // Over many pairs every token is drawn about as often: 5 of 12 times, with a standard error of 0.011.
        var counts = new double[12];
        foreach (var token in Enumerable.Range(0, 2000).SelectMany(prompt => loss.Draw(Example(prompt, 12, 5), pair).Chosen))
            counts[token] += 1 / 2000.0;
        Assert.All(counts, share => Assert.InRange(share, 5 / 12.0 - 0.045, 5 / 12.0 + 0.045));
    }

    /// <summary>Sums of a batch, for policy and reference alike, where a completion belongs to two pairs.</summary>
    [Fact]
    public void Pairs_are_sums_over_the_drawn_tokens_of_both_models()
    {
        using var scope = NewDisposeScope();
        TrainingExample[] examples =
        [
            Example(3, 2, 4),
            new([5], [[1, 2, 3, 4, 5, 6], [7, 8], [9, 10, 11, 12]], [new(0, 1), new(2, 0)]),
        ];
        var tensors = new PreferenceBatch(examples).To(CPU);
        var count = tensors.Targets.shape[0];
        double[] policy = [.. Enumerable.Range(0, (int)count).Select(index => Math.Sin(index))], reference = [.. policy.Select(value => value * value)];
        var (loss, offsets) = (new SamPoLoss(seed: 4), tensors.Layout.CompletionOffsets);
        var pairs = loss.PairsOf(new(new(tensor(policy), offsets), new(tensor(reference), offsets), tensors.Preferences));

        var (expected, place) = (new List<double[]>(), 0);
        foreach (var example in examples)
        {
            foreach (var pair in example.Pairs)
            {
                var (chosen, rejected) = loss.Draw(example, pair);
                double Sum(double[] values, int completion, int[] tokens) => tokens.Sum(token => values[offsets[place + completion] + token]);
                expected.Add([
                    Sum(policy, pair.Chosen, chosen), Sum(policy, pair.Rejected, rejected), Sum(reference, pair.Chosen, chosen), Sum(reference, pair.Rejected, rejected)]);
            }
            place += example.Completions.Count;
        }
        Tensor[] actual = [pairs.PolicyChosen, pairs.PolicyRejected, pairs.ReferenceChosen!, pairs.ReferenceRejected!];
        foreach (var (index, values) in actual.Index())
            Numbers.AssertClose([.. expected.Select(pair => pair[index])], values.ToDoubles(), 1e-12, $"{index}");
        Assert.Throws<InvalidOperationException>(
            () => loss.PairsOf(new(new(tensor(policy), offsets), null, tensors.Preferences with { Examples = [] })));
    }
}
