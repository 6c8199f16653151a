using Dpo.Tests;

namespace Dpo.Baselines.Tests;

public class BestOfNTests
{
    [Fact]
    public void Estimates_are_the_average_over_all_subsets()
    {
        var recorded = Numbers.Json("stats", "best_of_n.json").GetProperty("unbiased");
        double[] proxy = recorded.GetProperty("proxy").Doubles(), gold = recorded.GetProperty("gold").Doubles();
        foreach (var one in recorded.GetProperty("estimates").EnumerateArray())
        {
            var n = one.GetProperty("n").GetInt32();
            Numbers.AssertClose(one.GetProperty("expected_best_proxy").GetDouble(), BestOfN.Expected(proxy, n), 1e-9);
            Numbers.AssertClose(one.GetProperty("expected_gold_of_best").GetDouble(), BestOfN.Expected(proxy, gold, n), 1e-9);
        }
    }

    [Fact]
    public void The_bound_of_the_KL()
    {
        foreach (var one in Numbers.Json("stats", "best_of_n.json").GetProperty("kl_bound").EnumerateArray())
            Numbers.AssertClose(one.GetProperty("bound").GetDouble(), BestOfN.KlBound(one.GetProperty("n").GetInt32()), 1e-12);
        Assert.Throws<ArgumentOutOfRangeException>(() => BestOfN.KlBound(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => BestOfN.Expected([1, 2], 3));
    }

    [Fact]
    public void Every_prompt_has_its_samples_and_their_scores()
    {
        using var model = new Gpt2(new() { VocabularySize = 20, MaxPositions = 16, HiddenSize = 8, LayerCount = 1, HeadCount = 1 });
        var best = BestOfN.Sample(
            model, [[1, 2], [3]], new FunctionReward(answer => answer.Ids[0] + (100 * answer.PromptIds[0])),
            new SamplingOptions { SamplesPerPrompt = 5, MaxNewTokens = 3 });
        Assert.Equal([5, 5], best.Select(of => of.Count));
        foreach (var (index, first) in (IEnumerable<(int, int)>)[(0, 1), (1, 3)])
            Assert.All(best[index], scored => Assert.Equal(scored.Completion.Tokens[0] + (100 * first), scored.Score));
    }
}
