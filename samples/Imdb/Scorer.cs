using Dpo.Baselines;

namespace Dpo.Samples;

/// <summary>The true reward of continued prefixes, and the preferences that follow from it.</summary>
internal sealed class Scorer(TrueReward reward, TextTokenizer tokenizer) : IReward
{
    /// <summary>The text of a prefix and its continuation.</summary>
    public string Text(IReadOnlyList<int> prefix, IReadOnlyList<int> continuation) =>
        tokenizer.Decode([.. prefix, .. continuation], skipSpecial: true);

    /// <summary>The probability, from 0 to 1, that each prefix with its continuation is favourable.</summary>
    public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers) =>
        [.. reward.Probabilities([.. answers.Select(answer => Text(answer.PromptIds, answer.Ids))])
            .Select(value => (float)value)];

    /// <summary>All pairs of the continuations of each prefix, the better one chosen; nothing for a prefix whose continuations
    /// are equally good.</summary>
    /// <param name="prefixes">The prefixes.</param>
    /// <param name="continuations">Equally many of each, those of the first prefix first.</param>
    public IEnumerable<TokenizedExample> Rank(IReadOnlyList<IReadOnlyList<int>> prefixes, IReadOnlyList<int>[] continuations)
    {
        var each = continuations.Length / prefixes.Count;
        var logOdds = reward.LogOdds(
            [.. continuations.Select((continuation, index) => Text(prefixes[index / each], continuation))]);
        foreach (var (index, prefix) in prefixes.Index())
        {
            double[] scores = [.. logOdds.Skip(index * each).Take(each)];
            var pairs =
                from chosen in Enumerable.Range(0, each)
                from rejected in Enumerable.Range(0, each)
                where scores[chosen] > scores[rejected]
                select new PreferencePair(chosen, rejected);
            if (pairs.Any())
                yield return new TokenizedExample(prefix, continuations[(index * each)..((index + 1) * each)], [.. pairs]);
        }
    }
}
