using Dpo.Tokenization;

namespace Dpo.Generation;

/// <summary>Which ids may be drawn where a tokenizer is known: those that it has a token for. A model's vocabulary is often
/// padded with rows beyond them (Pythia has 50,304 for 50,277 tokens), and what is drawn there has no text.</summary>
/// <param name="Count">No id from here on has a token.</param>
/// <param name="Gaps">The ids before it that have none.</param>
internal sealed record DrawableIds(int Count, IReadOnlyList<int> Gaps)
{
    /// <summary>Those of a model's ids that have a token; null where all have, or no tokenizer says so.</summary>
    public static DrawableIds? Of(int vocabularySize, TextTokenizer? tokenizer)
    {
        if (tokenizer is null)
            return null;
        var count = Math.Min(vocabularySize, tokenizer.VocabularySize);
        int[] gaps = [.. Enumerable.Range(0, count).Where(id => !tokenizer.HasToken(id))];
        return count == vocabularySize && gaps.Length == 0 ? null : new DrawableIds(count, gaps);
    }
}
