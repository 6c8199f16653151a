namespace Dpo.Samples;

/// <summary>The true reward of a text, and the preferences that follow from it.</summary>
internal sealed class Scorer(SentimentClassifier classifier, TextTokenizer tokenizer)
{
    /// <summary>The text of a prefix and its continuation.</summary>
    public string Text(IReadOnlyList<int> prefix, IReadOnlyList<int> continuation) => tokenizer.Decode([.. prefix, .. continuation], skipSpecial: true);

    /// <summary>The probability, from 0 to 1, that the text is favourable.</summary>
    public double Reward(IReadOnlyList<int> prefix, IReadOnlyList<int> continuation) => classifier.Positive(Text(prefix, continuation));

    /// <summary>All pairs of the continuations of a prefix, the better one chosen; null where all are equally good.</summary>
    public TokenizedExample? Rank(IReadOnlyList<int> prefix, IReadOnlyList<int>[] continuations)
    {
        // The log-odds order texts that the probability can no longer tell apart.
        var scores = continuations.Select(continuation => classifier.LogOdds(Text(prefix, continuation))).ToArray();
        var pairs =
            from chosen in Enumerable.Range(0, scores.Length)
            from rejected in Enumerable.Range(0, scores.Length)
            where scores[chosen] > scores[rejected]
            select new PreferencePair(chosen, rejected);
        return pairs.Any() ? new TokenizedExample(prefix, continuations, [.. pairs]) : null;
    }
}
