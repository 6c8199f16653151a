namespace Dpo.Baselines.Tests;

public class PairMakingTests
{
    private static readonly ScoredCompletions sampled = new(1, [7], [[1], [2], [3], [4]], [0.5f, 2, 0.5f, 1]);

    [Fact]
    public void All_pairs_are_those_whose_scores_differ()
    {
        var example = PairMaking.AllPairs(sampled)!;
        Assert.Equal([(1, 0), (1, 2), (1, 3), (3, 0), (3, 2)], example.Pairs.Select(pair => (pair.Chosen, pair.Rejected)));
        Assert.Equal(sampled.Scores, example.Scores);
        Assert.Null(PairMaking.AllPairs(sampled with { Scores = [1, 1, 1, 1] }));
    }

    [Fact]
    public void The_best_and_the_worst_are_one_pair()
    {
        Assert.Equal([new PreferencePair(1, 2)], PairMaking.BestAndWorst(sampled with { Scores = [0.5f, 2, 0.1f, 1] })!.Pairs);
        Assert.Null(PairMaking.BestAndWorst(sampled with { Scores = [1, 1, 1, 1] }));
    }

    [Fact]
    public void A_ranking_has_the_best_first_and_no_ties()
    {
        Assert.Null(PairMaking.Ranking(sampled));
        Assert.Equal([1, 3, 0, 2], PairMaking.Ranking(sampled with { Scores = [0.5f, 2, 0.1f, 1] })!.Ranking);
    }

    [Fact]
    public void Self_play_prefers_what_was_written_for_the_prompt()
    {
        var example = PairMaking.SelfPlay([[9], [2]])(sampled)!;
        Assert.Equal([[2], [1], [3], [4]], example.Completions);
        Assert.Equal([(0, 1), (0, 2), (0, 3)], example.Pairs.Select(pair => (pair.Chosen, pair.Rejected)));
        Assert.Null(PairMaking.SelfPlay([[9], [2]])(sampled with { Completions = [[2]], Scores = [1] }));
    }
}
