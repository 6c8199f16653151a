using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>TDPO against <c>losses2/token_level.json</c>: values and gradients with respect to logits, by the authors' code.</summary>
public class TdpoLossTests
{
    private static readonly JsonElement Fixture = Numbers.Json("losses2", "token_level.json").GetProperty("tdpo");

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Losses_gradients_and_rewards_are_the_authors(int index)
    {
        using var scope = NewDisposeScope();
        var item = Fixture.GetProperty("cases")[index];
        var (pairCount, length, vocabulary) = (Fixture.GetProperty("B").GetInt32(), Fixture.GetProperty("T").GetInt32(), Fixture.GetProperty("V").GetInt32());
        Tensor Logits(string field) => tensor(Fixture.GetProperty(field).Doubles()).view(2 * pairCount * length, vocabulary);
        var logits = Logits("policy_logits").requires_grad_();
        // Position t predicts label t + 1; chosen rows first.
        var (rows, targets, offsets) = (new List<long>(), new List<long>(), new List<int> { 0 });
        foreach (var (row, labels) in Fixture.GetProperty("labels").EnumerateArray().Select(labels => labels.Ints()).Index())
        {
            for (var position = 0; position + 1 < length; position++)
            {
                if (labels[position + 1] < 0)
                    continue;
                rows.Add(row * length + position);
                targets.Add(labels[position + 1]);
            }
            offsets.Add(rows.Count);
        }
        var (places, ids) = (tensor(rows.ToArray()), tensor(targets.ToArray()).unsqueeze(1));
        CompletionLogProbs Of(Tensor logits, Tensor? kl = null) =>
            new(logits.index_select(0, places).log_softmax(1).gather(1, ids).squeeze(1), offsets) { ReferenceKl = kl };
        var reference = Logits("ref_logits");
        var kl = CompletionLogProbs.PlainKl(logits.index_select(0, places), reference.index_select(0, places));
        TrainingExample[] examples =
            [new([1], [.. offsets.Zip(offsets.Skip(1), (begin, end) => new int[end - begin])], [.. Enumerable.Range(0, pairCount).Select(pair => new PreferencePair(pair, pairCount + pair))])];
        var part = new PreferenceLogProbs(Of(logits, kl), Of(reference), PreferenceTensors.Of(examples, CPU));
        var beta = item.GetProperty("beta").GetDouble();
        IPairLoss loss = item.GetProperty("variant").GetString() == "tdpo1" ? new Tdpo1Loss(beta) : new Tdpo2Loss(beta, item.GetProperty("alpha").GetDouble());

        var pairs = loss.PairsOf(part);
        Numbers.AssertClose(item.GetProperty("chosen_margin").Doubles(), pairs.ChosenRatios.ToDoubles(), 1e-10, "chosen margin");
        Numbers.AssertClose(item.GetProperty("rejected_margin").Doubles(), pairs.RejectedRatios.ToDoubles(), 1e-10, "rejected margin");
        Numbers.AssertClose(item.GetProperty("chosen_position_kl").Doubles(), pairs.ChosenKl!.ToDoubles(), 1e-10, "chosen KL");
        Numbers.AssertClose(item.GetProperty("rejected_position_kl").Doubles(), pairs.RejectedKl!.ToDoubles(), 1e-10, "rejected KL");
        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), loss.Losses(pairs).ToDoubles(), 1e-10, "losses");
        var share = loss.Share(part, PreferenceCounts.Of(examples));
        share.backward();
        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), share.item<double>(), 1e-10, "loss");
        // Written there with nine decimals.
        Numbers.AssertClose(item.GetProperty("grad_policy_logits").Doubles(), logits.grad!.flatten().ToDoubles(), 5.01e-10, "gradient");
        Numbers.AssertClose(
            [.. item.GetProperty("chosen_rewards").Doubles(), .. item.GetProperty("rejected_rewards").Doubles()], loss.Rewards(part).ToDoubles(), 1e-10, "rewards");
    }

    [Fact]
    public void Without_a_KL_it_says_what_it_needs()
    {
        using var scope = NewDisposeScope();
        var pairs = new PairLogProbs(zeros(1), zeros(1), zeros(1), zeros(1));
        Assert.All((IPairLoss[])[new Tdpo1Loss(), new Tdpo2Loss()], loss =>
        {
            Assert.Equal(new LogProbsRequest { ReferenceKl = true }, loss.Needs);
            Assert.StartsWith("The loss takes the policy's KL from the reference,", Assert.Throws<InvalidOperationException>(() => loss.Losses(pairs)).Message, StringComparison.Ordinal);
        });
    }
}
