using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>
/// TRL's losses from full logits: the SFT term, weighted sums, length desensitization and WPO's weights, with the metrics and the
/// gradient with respect to the logits.
/// </summary>
public class LossFromLogitsTests
{
    private static readonly JsonElement Fixture = Numbers.Json("losses.json").GetProperty("trl_from_logits");

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, Fixture.GetProperty("cases").GetArrayLength())];

    /// <summary>The log-probabilities of the completions' tokens, row after row, from logits <c>[2B, T, V]</c>.</summary>
    private static CompletionLogProbs LogProbs(Tensor logits)
    {
        int[][] Rows(string field) => [.. Fixture.GetProperty(field).EnumerateArray().Select(row => row.Ints())];
        var (ids, masks) = (Rows("input_ids"), Rows("completion_mask"));
        var (positions, targets, offsets) = (new List<long>(), new List<long>(), new List<int> { 0 });
        for (var row = 0; row < ids.Length; row++)
        {
            for (var token = 1; token < ids[row].Length; token++)
            {
                if (masks[row][token] == 0)
                    continue;
                positions.Add(row * ids[row].Length + token - 1);
                targets.Add(ids[row][token]);
            }
            offsets.Add(targets.Count);
        }
        var logProbs = logits.flatten(0, 1).index_select(0, tensor(positions.ToArray())).log_softmax(1);
        return new CompletionLogProbs(logProbs.gather(1, tensor(targets.ToArray()).unsqueeze(1)).squeeze(1), offsets)
        {
            LogSquaredProbs = (2 * logProbs.detach()).logsumexp(1),
        };
    }

    private static LossOptions Options(JsonElement item)
    {
        var type = item.GetProperty("loss_type");
        string[] names = type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray().Select(name => name.GetString()!)] : [type.GetString()!];
        return LossFixtureTests.Options(item, names) with
        {
            Weights = item.TryGetProperty("loss_weights", out var weights) && weights.ValueKind == JsonValueKind.Array ? weights.Doubles() : null,
            LdAlpha = item.TryGetProperty("ld_alpha", out var alpha) ? alpha.GetDouble() : null,
            UseWeighting = item.TryGetProperty("use_weighting", out var weighting) && weighting.GetBoolean(),
        };
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Loss_metrics_and_the_logits_gradient_are_TRLs(int index)
    {
        using var scope = NewDisposeScope();
        var item = Fixture.GetProperty("cases")[index];
        var (pairs, length, vocabulary) = (Fixture.GetProperty("B").GetInt32(), Fixture.GetProperty("T").GetInt32(), Fixture.GetProperty("V").GetInt32());
        // The fixture's logits went through fp32 before all else.
        Tensor Logits(string field) => tensor(Fixture.GetProperty(field).Doubles()).to(float32).to(float64).view(2 * pairs, length, vocabulary);
        var logits = Logits("policy_logits").requires_grad_();
        var policy = LogProbs(logits);
        var examples = Enumerable.Range(0, 2 * pairs).Select(row => policy.Offsets[row + 1] - policy.Offsets[row]).Select(count => new int[count]);
        TrainingExample[] whole = [new([1], [.. examples], [.. Enumerable.Range(0, pairs).Select(pair => new PreferencePair(pair, pairs + pair))])];
        var part = new PreferenceLogProbs(policy, LogProbs(Logits("ref_logits")), PreferenceTensors.Of(whole, CPU));
        var loss = Options(item).Create();

        var share = loss.Share(part, PreferenceCounts.Of(whole));
        share.backward();

        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), share.item<double>(), 1e-10, "loss");
        Numbers.AssertClose(item.GetProperty("grad_policy_logits").Doubles(), logits.grad!.flatten().ToDoubles(), 1e-7, "gradient");
        if (loss is IPairLoss pairLoss)
        {
            var given = pairLoss.PairsOf(part);
            Numbers.AssertClose(item.GetProperty("per_example_of_last_loss_type").Doubles(), pairLoss.Losses(given).ToDoubles(), 1e-10, "losses");
            Numbers.AssertClose(item.GetProperty("chosen_logps").Doubles(), given.PolicyChosen.ToDoubles(), 1e-10, "chosen");
            Numbers.AssertClose(item.GetProperty("rejected_logps").Doubles(), given.PolicyRejected.ToDoubles(), 1e-10, "rejected");
            Numbers.AssertClose(item.GetProperty("ref_chosen_logps").Doubles(), given.ReferenceChosen!.ToDoubles(), 1e-10, "reference chosen");
            Numbers.AssertClose(item.GetProperty("ref_rejected_logps").Doubles(), given.ReferenceRejected!.ToDoubles(), 1e-10, "reference rejected");
        }
        if (!item.TryGetProperty("ld_alpha", out _) && loss is not SftLoss)
        {
            // Of whole completions; TRL's are of the desensitized ones. Its metrics are in fp32.
            var rewards = loss.Rewards(part).ToDoubles();
            var metrics = item.GetProperty("metrics");
            Numbers.AssertClose(metrics.GetProperty("rewards/chosen").GetDouble(), rewards[..pairs].Average(), 1e-7, "chosen reward");
            Numbers.AssertClose(metrics.GetProperty("rewards/rejected").GetDouble(), rewards[pairs..].Average(), 1e-7, "rejected reward");
        }
    }

    [Fact]
    public void Length_desensitization_of_1_and_wrappers_in_either_order_change_nothing()
    {
        using var scope = NewDisposeScope();
        var logits = tensor(Fixture.GetProperty("policy_logits").Doubles()).view(6, 10, 7);
        var reference = tensor(Fixture.GetProperty("ref_logits").Doubles()).view(6, 10, 7);
        TrainingExample[] examples = [new([1], [.. Enumerable.Repeat<int[]>([1], 6)], [new(0, 3), new(4, 1), new(0, 5)])];
        var part = new PreferenceLogProbs(LogProbs(logits), LogProbs(reference), PreferenceTensors.Of(examples, CPU));
        double[] Losses(IPairLoss loss) => loss.Losses(loss.PairsOf(part)).ToDoubles();
        var plain = new IpoLoss();
        Numbers.AssertClose(Losses(plain), Losses(new LengthDesensitizedLoss(plain, 1)), 1e-12);
        Assert.Equal(
            Losses(new WpoLoss(new LengthDesensitizedLoss(plain, 0.3))), Losses(new LengthDesensitizedLoss(new WpoLoss(plain), 0.3)));
    }
}
