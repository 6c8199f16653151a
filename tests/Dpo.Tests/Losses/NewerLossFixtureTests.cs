using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The losses of 2024 to 2026 against <c>losses2/losses2.json</c>: values and gradients of TRL and of the authors' code.</summary>
public class NewerLossFixtureTests
{
    private static readonly JsonElement Fixtures = Numbers.Json("losses2", "losses2.json");

    private static readonly JsonElement Cases = Fixtures.GetProperty("cases");

    public static TheoryData<int> All => [.. Enumerable.Range(0, Cases.GetArrayLength())];

    private static double? Real(JsonElement item, string field) =>
        item.TryGetProperty(field, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    internal static JsonElement Vectors(string name) => Fixtures.GetProperty("vectors").GetProperty(name);

    /// <summary>The pairs of a group of vectors; the first two tensors have gradients.</summary>
    internal static PairLogProbs Pairs(JsonElement vectors)
    {
        Tensor Vector(string field) => tensor(vectors.GetProperty(field).Doubles());
        return new(
            Vector("policy_chosen").requires_grad_(), Vector("policy_rejected").requires_grad_(), Vector("ref_chosen"), Vector("ref_rejected"),
            Vector("chosen_tokens"), Vector("rejected_tokens"), Vector("chosen_score"), Vector("rejected_score"));
    }

    /// <summary>The loss of a case, by name.</summary>
    private static IPreferenceLoss Loss(JsonElement item)
    {
        double Of(string field) => Real(item, field) ?? throw new InvalidOperationException(field);
        var name = item.GetProperty("loss_name").GetString()!;
        var cpoAlpha = Real(item, "cpo_alpha") ?? 0;
        var options = new LossOptions { Names = [name], Beta = Of("beta"), CpoAlpha = cpoAlpha };
        return (name switch
        {
            "cpo" => item.GetProperty("loss_type").GetString() switch
            {
                "sigmoid" => options with { LabelSmoothing = Real(item, "label_smoothing") },
                "simpo" when Real(item, "alpha") is { } alpha => options with { Names = ["alphapo"], AlphaPoAlpha = alpha, AlphaPoGamma = Of("gamma") },
                "simpo" when cpoAlpha != 0 => options with { Names = ["simpo", "sft"], Weights = [1, cpoAlpha], SimPoGamma = Of("gamma") },
                "simpo" => options with { Names = ["simpo"], SimPoGamma = Of("gamma") },
                var other => options with { Names = ["cpo_" + other] },
            },
            "dpop" => options with { DpopLambda = Of("lambda") },
            "r_dpo" => options with { RDpoAlpha = Of("alpha") },
            "odpo" => options with { OdpoAlpha = Of("alpha"), Names = [item.GetProperty("ratio").GetBoolean() ? "odpo_ratio" : "odpo"] },
            "cal_dpo" => options with { CalDpoWeight = Of("calibration_weight") },
            "chi_po" => options with { ChiPoRewardBound = Real(item, "r_max") },
            "dpo_shift" => options with { DpoShift = Of("lambda") },
            "rpo" => options with { Names = ["sigmoid", "sft_norm"], Weights = [1, Of("alpha")] },
            _ => options,
        }).Create();
    }

    [Fact]
    public void All_cases_are_there()
    {
        Assert.Equal(126, Cases.GetArrayLength());
        Assert.Equal(
            ["cal_dpo", "chi_po", "cpo", "dpo_norm", "dpo_shift", "dpop", "mpo", "odpo", "r_dpo", "rpo"],
            Cases.EnumerateArray().Select(item => item.GetProperty("loss_name").GetString()!).Distinct().Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Values_and_gradients_are_theirs(int index)
    {
        using var scope = NewDisposeScope();
        var item = Cases[index];
        var vectors = Vectors(item.GetProperty("vectors").GetString()!);
        if (Loss(item) is not IPairLoss loss)
        {
            AssertShare(item, Loss(item), vectors, "");
            if (Loss(item) is CombinedLoss { Terms: [(CpoLoss or SimPoLoss, 1), (SftLoss, _)] } cpo)
                Numbers.AssertClose(
                    item.GetProperty("per_example").Doubles(), ((IPairLoss)cpo.Terms[0].Loss).Losses(Pairs(vectors)).ToDoubles(), 1e-10, "losses");
            if (item.TryGetProperty("loss_batch_token_mean_nll", out _))
                AssertShare(
                    item, new LossOptions { Names = ["sigmoid", "sft"], Beta = Real(item, "beta"), Weights = [1, Real(item, "alpha")!.Value] }.Create(), vectors,
                    "_batch_token_mean_nll");
            return;
        }

        if (loss is ChiPoLoss chiPo)
            loss = new ChiPoLoss(chiPo.Beta, chiPo.RewardBound, Real(item, "max_exponent")!.Value);
        var pairs = Pairs(vectors);
        var losses = loss.Losses(pairs);
        losses.mean().backward();
        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), losses.ToDoubles(), 1e-10, "losses");
        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), losses.mean().item<double>(), 1e-10, "loss");
        Numbers.AssertClose(item.GetProperty("grad_chosen").Doubles(), pairs.PolicyChosen.grad!.ToDoubles(), 1e-10, "chosen gradient");
        Numbers.AssertClose(item.GetProperty("grad_rejected").Doubles(), pairs.PolicyRejected.grad!.ToDoubles(), 1e-10, "rejected gradient");
    }

    /// <summary>Of a loss that counts tokens of the batch: each completion has as many as it is said to, and its log-probability on the first.</summary>
    private static void AssertShare(JsonElement item, IPreferenceLoss loss, JsonElement vectors, string suffix)
    {
        var pairs = Pairs(vectors);
        int[] lengths = [.. vectors.GetProperty("chosen_tokens").Ints().Zip(vectors.GetProperty("rejected_tokens").Ints(), (w, l) => (int[])[w, l]).SelectMany(both => both)];
        int[] offsets = [0, .. lengths.Select((_, index) => lengths.Take(index + 1).Sum())];
        TrainingExample[] examples = [.. lengths.Chunk(2).Select(both => new TrainingExample([1], [new int[both[0]], new int[both[1]]], [new(0, 1)]))];
        CompletionLogProbs Of(Tensor chosen, Tensor rejected)
        {
            var perToken = zeros(offsets[^1], float64);
            perToken.index_copy_(0, tensor(offsets.SkipLast(1).Select(offset => (long)offset).ToArray()), stack([chosen, rejected], 1).flatten());
            return new(perToken, offsets);
        }
        var part = new PreferenceLogProbs(
            Of(pairs.PolicyChosen, pairs.PolicyRejected), Of(pairs.ReferenceChosen!, pairs.ReferenceRejected!), PreferenceTensors.Of(examples, CPU));
        var share = loss.Share(part, PreferenceCounts.Of(examples));
        share.backward();
        Numbers.AssertClose(item.GetProperty("loss" + suffix).GetDouble(), share.item<double>(), 1e-10, "loss");
        Numbers.AssertClose(item.GetProperty("grad_chosen" + suffix).Doubles(), pairs.PolicyChosen.grad!.ToDoubles(), 1e-10, "chosen gradient");
        Numbers.AssertClose(item.GetProperty("grad_rejected").Doubles(), pairs.PolicyRejected.grad!.ToDoubles(), 1e-10, "rejected gradient");
    }

    /// <summary>What is asked for at a step is what a loss with that number for good gives.</summary>
    [Fact]
    public void The_shift_goes_in_a_straight_line_as_the_authors_does()
    {
        using var scope = NewDisposeScope();
        var pairs = Pairs(Vectors("typical"));
        foreach (var schedule in Fixtures.GetProperty("dpo_shift_schedules").EnumerateArray())
        {
            var (low, high) = (Real(schedule, "min")!.Value, Real(schedule, "max")!.Value);
            var (first, last) = schedule.GetProperty("strategy").GetString() == "increase_linear" ? (low, high) : (high, low);
            var loss = new DpoShiftLoss(0.1, first, last);
            foreach (var (step, expected) in schedule.GetProperty("value_at_step").Doubles().Index())
            {
                loss.Reach(step, schedule.GetProperty("max_steps").GetInt32());
                Numbers.AssertClose(new DpoShiftLoss(0.1, expected).Losses(pairs).ToDoubles(), loss.Losses(pairs).ToDoubles(), 1e-12, $"step {step}");
            }
        }
    }

    [Fact]
    public void Completions_that_are_scored_alike_teach_ODPO_nothing()
    {
        using var scope = NewDisposeScope();
        var pairs = Pairs(Vectors("typical"));
        var losses = new OdpoLoss().Losses(pairs with { RejectedScores = pairs.ChosenScores });
        losses.sum().backward();
        Assert.All(losses.ToDoubles().Concat(pairs.PolicyChosen.grad!.ToDoubles()), value => Assert.Equal(0, value));
    }
}
