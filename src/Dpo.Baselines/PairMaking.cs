using Dpo.Data;
using Dpo.Tokenization;

namespace Dpo.Baselines;

/// <summary>Completions of a prompt and what they are worth.</summary>
/// <param name="PromptIndex">The prompt's place among those that the run was given.</param>
/// <param name="Prompt">Its ids.</param>
/// <param name="Completions">Ids of what the policy sampled.</param>
/// <param name="Scores">The score of each.</param>
public sealed record ScoredCompletions(
    int PromptIndex, IReadOnlyList<int> Prompt, IReadOnlyList<IReadOnlyList<int>> Completions, IReadOnlyList<float> Scores);

/// <summary>Makes of a prompt's completions what is trained on; null where they say nothing.</summary>
public delegate TokenizedExample? PairMaker(ScoredCompletions sampled);

/// <summary>The usual ways from scored completions to preferences. One of your own is a function.</summary>
public static class PairMaking
{
    /// <summary>Every pair of completions whose scores differ: of 4 samples up to 6 (the paper's sentiment data are made
    /// so).</summary>
    public static TokenizedExample? AllPairs(ScoredCompletions sampled)
    {
        ArgumentNullException.ThrowIfNull(sampled);
        var count = sampled.Completions.Count;
        return Of(sampled,
        [
            .. from chosen in Enumerable.Range(0, count)
               from rejected in Enumerable.Range(0, count)
               where sampled.Scores[chosen] > sampled.Scores[rejected]
               select new PreferencePair(chosen, rejected),
        ]);
    }

    /// <summary>The best against the worst.</summary>
    public static TokenizedExample? BestAndWorst(ScoredCompletions sampled)
    {
        ArgumentNullException.ThrowIfNull(sampled);
        int[] order = [.. Enumerable.Range(0, sampled.Completions.Count).OrderByDescending(index => sampled.Scores[index])];
        var pair = new PreferencePair(order[0], order[^1]);
        return sampled.Scores[pair.Chosen] > sampled.Scores[pair.Rejected] ? Of(sampled, [pair]) : null;
    }

    /// <summary>All of them ranked, for <c>PlackettLuceLoss</c> (the paper's Eq. 20); null where two are worth the
    /// same.</summary>
    public static TokenizedExample? Ranking(ScoredCompletions sampled)
    {
        ArgumentNullException.ThrowIfNull(sampled);
        var (scores, count) = (sampled.Scores, sampled.Scores.Count);
        return count < 2 || scores.Distinct().Count() < count ? null : Example(sampled, []) with
        {
            Ranking = [.. Enumerable.Range(0, count).OrderByDescending(index => scores[index])],
        };
    }

    /// <summary>What a person wrote against each of the policy's own completions (SPIN, Chen et al. 2024); scores are not looked
    /// at.</summary>
    /// <param name="written">For every prompt, in the order that the run is given them, the ids of its completion.</param>
    public static PairMaker SelfPlay(IReadOnlyList<IReadOnlyList<int>> written)
    {
        ArgumentNullException.ThrowIfNull(written);
        return sampled =>
        {
            var chosen = written[sampled.PromptIndex];
            IReadOnlyList<int>[] others = [.. sampled.Completions.Where(completion => !completion.SequenceEqual(chosen))];
            return others.Length == 0 ? null : new TokenizedExample(
                sampled.Prompt, [chosen, .. others], [.. others.Select((_, index) => new PreferencePair(0, index + 1))]);
        };
    }

    /// <summary>Each completion of the first half, the policy's own, against its counterpart of the second, another model's,
    /// which is labelled undesirable (XPO): the better one is chosen, and two that are worth the same are no pair.
    /// A prompt without any pair is left out, the completions of the other model with it.</summary>
    public static TokenizedExample? AcrossHalves(ScoredCompletions sampled) =>
        Across(sampled, (own, other) => sampled.Scores[own] == sampled.Scores[other]
            ? null
            : sampled.Scores[own] > sampled.Scores[other] ? new(own, other) : new(other, own));

    /// <summary>Each completion of the first half, the policy's own, against its counterpart of the second, another model's: the
    /// own one stands where others have the chosen one, whatever the scores say (<see cref="NashMdLoss"/>).</summary>
    public static TokenizedExample? OwnAgainstOther(ScoredCompletions sampled) =>
        Across(sampled, (own, other) => new PreferencePair(own, other));

    private static TokenizedExample? Across(ScoredCompletions sampled, Func<int, int, PreferencePair?> pairOf)
    {
        ArgumentNullException.ThrowIfNull(sampled);
        var half = sampled.Completions.Count / 2;
        return Of(sampled, [.. Enumerable.Range(0, half).Select(own => pairOf(own, half + own)).OfType<PreferencePair>()])
            is { } example
            ? example with { Labels = [.. sampled.Completions.Select((_, index) => index < half)] }
            : null;
    }

    private static TokenizedExample? Of(ScoredCompletions sampled, IReadOnlyList<PreferencePair> pairs) =>
        pairs.Count == 0 ? null : Example(sampled, pairs);

    private static TokenizedExample Example(ScoredCompletions sampled, IReadOnlyList<PreferencePair> pairs) =>
        new(sampled.Prompt, sampled.Completions, pairs) { Scores = sampled.Scores };
}
