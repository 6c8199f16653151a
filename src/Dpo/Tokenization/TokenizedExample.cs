using Dpo.Data;

namespace Dpo.Tokenization;

/// <summary>
/// A <see cref="PreferenceExample"/> as token ids, truncated and with the end-of-text token on every completion that was
/// not cut off.
/// </summary>
/// <param name="Prompt">The prompt's ids, at least one: the first token of every completion is predicted from the last of
/// them.</param>
/// <param name="Completions">The ids of every completion, each with at least one.</param>
/// <param name="Pairs">Which completion was preferred to which, as indices into <paramref name="Completions"/>.</param>
/// <exception cref="ArgumentException">An index names no completion.</exception>
public record TokenizedExample(
    IReadOnlyList<int> Prompt,
    IReadOnlyList<IReadOnlyList<int>> Completions,
    IReadOnlyList<PreferencePair> Pairs)
{
    /// <summary>Which completion was preferred to which, as indices into <see cref="Completions"/>.</summary>
    public IReadOnlyList<PreferencePair> Pairs { get; init; } = CompletionIndices.Within(Pairs, Completions.Count);

    /// <summary>Where the example came from, such as <c>train.jsonl:12</c>; null where it came from no file.</summary>
    public string? Source { get; init; }

    /// <summary>The completions in order of preference, the best first, as indices into <see cref="Completions"/>; null where
    /// they were not ranked.</summary>
    public IReadOnlyList<int>? Ranking { get; init; }

    /// <summary>The score of every completion; null where they were not scored.</summary>
    public IReadOnlyList<float>? Scores { get; init; }

    /// <summary>Whether each completion is desirable; null where they were not labelled.</summary>
    public IReadOnlyList<bool>? Labels { get; init; }

    /// <summary>Tokens of the prompt, once, and of all completions: what the example counts in a budget of tokens.</summary>
    internal int TokenCount => Prompt.Count + Completions.Sum(ids => ids.Count);

    /// <summary>The example supervised fine-tuning takes: every completion that was chosen in some pair, ranked best or labelled
    /// desirable, and nothing else.</summary>
    public TokenizedExample ChosenOnly()
    {
        var desirable = (Labels ?? []).Index().Where(label => label.Item).Select(label => label.Index);
        var chosen = Pairs.Select(pair => pair.Chosen).Concat((Ranking ?? []).Take(1)).Concat(desirable).Distinct();
        return new TokenizedExample(Prompt, [.. chosen.Select(index => Completions[index])], []) { Source = Source };
    }
}
