using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Every loss against <c>losses.json</c>: TRL's own values and gradients, and those of the paper's code.</summary>
public class LossFixtureTests
{
    private static readonly JsonElement Fixtures = Numbers.Json("losses.json");

    private static readonly JsonElement TrlCases = Fixtures.GetProperty("trl").GetProperty("cases");

    public static TheoryData<int> Trl => [.. Enumerable.Range(0, TrlCases.GetArrayLength())];

    private static double Real(JsonElement item, string field, double fallback) =>
        item.TryGetProperty(field, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : fallback;

    internal static LossOptions Options(JsonElement item, string[] names) => new()
    {
        Names = names,
        Beta = item.GetProperty("beta").GetDouble(),
        LabelSmoothing = Real(item, "label_smoothing", 0),
        DiscoPopTemperature = Real(item, "discopop_tau", 0.05),
        Divergence = item.TryGetProperty("f_divergence_type", out var divergence)
            ? divergence.GetString() switch
            {
                "forward_kl" => FDivergence.ForwardKl,
                "js_divergence" => FDivergence.JensenShannon,
                "alpha_divergence" => FDivergence.Alpha(item.GetProperty("f_alpha_divergence_coef").GetDouble()),
                var other => throw new InvalidOperationException(other),
            }
            : null,
    };

    [Fact]
    public void All_cases_are_there()
    {
        Assert.Equal(122, TrlCases.GetArrayLength());
        Assert.Equal(14, TrlCases.EnumerateArray().Select(item => item.GetProperty("loss_type").GetString()).Distinct().Count());
        Assert.Equal(23, TrlCases.EnumerateArray().Count(item => item.GetProperty("vectors").GetString() == "far"));
    }

    [Theory]
    [MemberData(nameof(Trl))]
    public void Values_and_gradients_are_TRLs(int index)
    {
        using var scope = NewDisposeScope();
        var item = TrlCases[index];
        var name = item.GetProperty("loss_type").GetString()!;
        var vectors = Fixtures.GetProperty("vectors").GetProperty(item.GetProperty("vectors").GetString()!);
        Tensor Vector(string field, bool grad = false) => tensor(vectors.GetProperty(field).Doubles(), requires_grad: grad);
        var pairs = new PairLogProbs(
            Vector("policy_chosen", true), Vector("policy_rejected", true), Vector("ref_chosen", true), Vector("ref_rejected", true),
            Vector("chosen_tokens"), Vector("rejected_tokens"));
        // TRL rounds these to fp32 on the way.
        var tolerance = name == "exo_pair" ? 1e-7 : item.GetProperty("compute_dtype").GetString() == "float32" ? 1e-5 : 1e-10;

        var losses = ((IPairLoss)Options(item, [name]).Create()).Losses(pairs);
        losses.mean().backward();

        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), losses.ToDoubles(), tolerance, "losses");
        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), losses.mean().item<double>(), tolerance, "loss");
        Numbers.AssertClose(item.GetProperty("grad_chosen").Doubles(), pairs.PolicyChosen.grad!.ToDoubles(), tolerance, "chosen gradient");
        Numbers.AssertClose(item.GetProperty("grad_rejected").Doubles(), pairs.PolicyRejected.grad!.ToDoubles(), tolerance, "rejected gradient");
        Assert.Null(pairs.ReferenceChosen!.grad);
        Assert.Null(pairs.ReferenceRejected!.grad);
    }

    /// <summary>The same in fp32, as in training: finite, and near, however far policy and reference are apart.</summary>
    [Theory]
    [MemberData(nameof(Trl))]
    public void In_fp32_they_stay_near(int index)
    {
        using var scope = NewDisposeScope();
        var item = TrlCases[index];
        var name = item.GetProperty("loss_type").GetString()!;
        var vectors = Fixtures.GetProperty("vectors").GetProperty(item.GetProperty("vectors").GetString()!);
        Tensor Vector(string field, bool grad = false) =>
            tensor(vectors.GetProperty(field).Doubles().Select(value => (float)value).ToArray(), requires_grad: grad);
        var pairs = new PairLogProbs(
            Vector("policy_chosen", true), Vector("policy_rejected", true), Vector("ref_chosen"), Vector("ref_rejected"),
            Vector("chosen_tokens"), Vector("rejected_tokens"));
        var losses = ((IPairLoss)Options(item, [name]).Create()).Losses(pairs);
        losses.mean().backward();
        // Log-probabilities of a few hundred have an error of 1e-5 in fp32, which exponents multiply.
        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), losses.ToDoubles(), 1e-4, "losses");
        Numbers.AssertClose(item.GetProperty("grad_chosen").Doubles(), pairs.PolicyChosen.grad!.ToDoubles(), 1e-4, "chosen gradient");
        Numbers.AssertClose(item.GetProperty("grad_rejected").Doubles(), pairs.PolicyRejected.grad!.ToDoubles(), 1e-4, "rejected gradient");
    }

    [Fact]
    public void IPO_on_sums_is_the_papers_codes()
    {
        using var scope = NewDisposeScope();
        var count = 0;
        foreach (var item in Fixtures.GetProperty("reference_repo").GetProperty("preference_loss").EnumerateArray().Where(item => item.GetProperty("ipo").GetBoolean()))
        {
            var vectors = Fixtures.GetProperty("vectors").GetProperty(item.GetProperty("vectors").GetString()!);
            Tensor Vector(string field, bool grad = false) => tensor(vectors.GetProperty(field).Doubles(), requires_grad: grad);
            var pairs = new PairLogProbs(Vector("policy_chosen", true), Vector("policy_rejected", true), Vector("ref_chosen"), Vector("ref_rejected"));
            var losses = new IpoSumLoss(item.GetProperty("beta").GetDouble(), item.GetProperty("reference_free").GetBoolean()).Losses(pairs);
            losses.mean().backward();
            Numbers.AssertClose(item.GetProperty("per_example").Doubles(), losses.ToDoubles(), 1e-10, "losses");
            Numbers.AssertClose(item.GetProperty("grad_chosen").Doubles(), pairs.PolicyChosen.grad!.ToDoubles(), 1e-10, "chosen gradient");
            Numbers.AssertClose(item.GetProperty("grad_rejected").Doubles(), pairs.PolicyRejected.grad!.ToDoubles(), 1e-10, "rejected gradient");
            count++;
        }
        Assert.Equal(12, count);
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 3)]
    [InlineData(2, 4)]
    public void Plackett_Luce_is_the_papers_Equation_20(int index, int completions)
    {
        using var scope = NewDisposeScope();
        var item = Fixtures.GetProperty("paper").GetProperty("plackett_luce")[index];
        double[] Flat(string field) => [.. item.GetProperty(field).EnumerateArray().SelectMany(row => row.Doubles())];
        var policy = tensor(Flat("policy_logps"), requires_grad: true);
        // Every completion is one token, so that its log-probability is the token's.
        int[] offsets = [.. Enumerable.Range(0, (int)policy.shape[0] + 1)];
        var examples = item.GetProperty("ranking_best_first").EnumerateArray()
            .Select(ranking => new TrainingExample([1], [.. Enumerable.Repeat<int[]>([1], completions)], []) { Ranking = ranking.Ints() })
            .ToArray();
        var loss = new PlackettLuceLoss(item.GetProperty("beta").GetDouble());
        var part = new PreferenceLogProbs(new(policy, offsets), new(tensor(Flat("ref_logps")), offsets), PreferenceTensors.Of(examples, CPU));

        var share = loss.Share(part, PreferenceCounts.Of(examples));
        share.backward();

        Numbers.AssertClose(item.GetProperty("loss").GetDouble(), share.item<double>(), 1e-10, "loss");
        Numbers.AssertClose(Flat("grad_of_mean_loss"), policy.grad!.ToDoubles(), 1e-10, "gradient");
        var ranked = part.LogRatios.index_select(0, part.Preferences.Rankings.Single().flatten()).view(-1, completions);
        Numbers.AssertClose(item.GetProperty("per_example").Doubles(), loss.Losses(ranked).ToDoubles(), 1e-10, "losses");
    }
}
