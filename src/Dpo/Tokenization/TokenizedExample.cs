namespace Dpo;

/// <summary>
/// A <see cref="PreferenceExample"/> as token ids, truncated and with the end-of-text token on every completion that was
/// not cut off.
/// </summary>
/// <param name="Prompt">The prompt's ids, at least one: the first token of every completion is predicted from the last of
/// them.</param>
/// <param name="Completions">The ids of every completion, each with at least one.</param>
/// <param name="Pairs">Which completion was preferred to which, as indices into <paramref name="Completions"/>.</param>
public sealed record TokenizedExample(
    IReadOnlyList<int> Prompt,
    IReadOnlyList<IReadOnlyList<int>> Completions,
    IReadOnlyList<PreferencePair> Pairs)
{
    /// <summary>Where the example came from, such as <c>train.jsonl:12</c>; null where it came from no file.</summary>
    public string? Source { get; init; }

    /// <summary>
    /// For every completion the log-probability of each of its tokens under the reference, in nats; null until
    /// <see cref="Dpo.ReferenceLogProbs"/> computed or loaded them. Where they are there, no reference is run.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<float>>? ReferenceLogProbs { get; init; }

    /// <summary>Tokens of the prompt, once, and of all completions: what the example counts in a budget of tokens.</summary>
    internal int TokenCount => Prompt.Count + Completions.Sum(ids => ids.Count);

    /// <summary>The example supervised fine-tuning takes: every completion that was chosen in some pair, and no pair.</summary>
    public TokenizedExample ChosenOnly() => this with
    {
        Completions = [.. Pairs.Select(pair => pair.Chosen).Distinct().Select(index => Completions[index])],
        Pairs = [],
        ReferenceLogProbs = null,
    };
}
