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
public sealed record TokenizedExample(
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

    /// <summary>The score of every completion, mismatched ones aside; null where they were not scored.</summary>
    public IReadOnlyList<float>? Scores { get; init; }

    /// <summary>Whether each completion, mismatched ones aside, is desirable; null where they were not labelled.</summary>
    public IReadOnlyList<bool>? Labels { get; init; }

    /// <summary>So many completions, the last ones, belong to other prompts: KTO measures the policy's distance to the reference
    /// by them (<c>PreferenceData.WithMismatches</c>).</summary>
    public int MismatchedCount { get; init; }

    /// <summary>
    /// For every completion the log-probability of each of its tokens under the reference, in nats; null until
    /// it was computed or loaded (<c>ReferenceLogProbs</c>). Where they are there, no reference is run.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<float>>? ReferenceLogProbs { get; init; }

    /// <summary>Tokens of the prompt, once, and of all completions: what the example counts in a budget of tokens.</summary>
    internal int TokenCount => Prompt.Count + Completions.Sum(ids => ids.Count);

    /// <summary>What the example counts in a number of pairs: its pairs; without any its completions, mismatched ones aside,
    /// since what KTO measures the KL by comes on top of what is trained on, as in TRL.</summary>
    internal int PairWeight => Pairs.Count > 0 ? Pairs.Count : Completions.Count - MismatchedCount;

    /// <summary>The example supervised fine-tuning takes: every completion that was chosen in some pair, ranked best or labelled
    /// desirable, and nothing else.</summary>
    public TokenizedExample ChosenOnly()
    {
        var desirable = (Labels ?? []).Index().Where(label => label.Item).Select(label => label.Index);
        var chosen = Pairs.Select(pair => pair.Chosen).Concat((Ranking ?? []).Take(1)).Concat(desirable).Distinct();
        return new TokenizedExample(Prompt, [.. chosen.Select(index => Completions[index])], []) { Source = Source };
    }
}
