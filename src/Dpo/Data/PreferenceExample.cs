namespace Dpo.Data;

/// <summary>
/// A prompt, its completions, and which of them was preferred to which: the unit of preference data.
/// </summary>
/// <remarks>
/// A completion is stored once however many pairs it takes part in. The usual (prompt, chosen, rejected) row has two
/// completions and the one pair (0, 1); four samples ranked by a reward have four completions and six pairs. Supervised
/// fine-tuning uses the same type with one completion and no pair. What more is known of the completions, a ranking, scores or
/// labels, serves the losses that want it.
/// </remarks>
/// <param name="Prompt">The text the completions continue. It is tokenized on its own, so a separating space belongs to
/// the completions.</param>
/// <param name="Completions">One or more continuations of the prompt.</param>
/// <param name="Pairs">Which completion was preferred to which, as indices into <paramref name="Completions"/>.</param>
/// <exception cref="ArgumentException">An index names no completion.</exception>
public sealed record PreferenceExample(string Prompt, IReadOnlyList<string> Completions, IReadOnlyList<PreferencePair> Pairs)
{
    /// <summary>Creates the common example: one chosen and one rejected completion.</summary>
    public PreferenceExample(string prompt, string chosen, string rejected)
        : this(prompt, [chosen, rejected], [new PreferencePair(0, 1)])
    {
    }

    /// <summary>Which completion was preferred to which, as indices into <see cref="Completions"/>.</summary>
    public IReadOnlyList<PreferencePair> Pairs { get; init; } = CompletionIndices.Within(Pairs, Completions.Count);

    /// <summary>All completions in order of preference, the best first, as indices into <see cref="Completions"/>: what
    /// <c>PlackettLuceLoss</c> trains on. Null where they were not ranked.</summary>
    /// <exception cref="ArgumentException">An index names no completion, or one is ranked twice.</exception>
    public IReadOnlyList<int>? Ranking
    {
        get;
        init => field = CompletionIndices.Within(value, Completions.Count);
    }

    /// <summary>A score for every completion, the higher the better: what <c>RpoLoss</c> trains on. Null where they were not
    /// scored.</summary>
    public IReadOnlyList<float>? Scores { get; init; }

    /// <summary>Whether each completion is desirable: what <c>KtoLoss</c> trains on. Null where they were not
    /// labelled.</summary>
    public IReadOnlyList<bool>? Labels { get; init; }

    /// <summary>Rows of a file the example stands for: one for each of its comparisons, but one for a ranking or scores of
    /// them all.</summary>
    public int RowCount => Ranking is not null || Scores is not null ? 1 : Math.Max(1, Pairs.Count);

    /// <summary>Where the example came from, such as <c>train.jsonl:12</c>; null where it came from no file.</summary>
    public string? Source { get; init; }

    /// <summary>
    /// The messages, where the example is a preference between answers in a chat; else null. <see cref="Prompt"/> and
    /// <see cref="Completions"/> are then the same messages as JSON, to be told apart and read by people: what a model sees is
    /// rendered from the messages by the chat template that <c>ExampleTokenizer</c> was given.
    /// </summary>
    public Conversation? Conversation { get; init; }

    /// <summary>By what reports know the example again.</summary>
    internal RowMark Mark { get; init; } = RowMark.New();
}

/// <summary>One preference: the completion with index <paramref name="Chosen"/> was preferred to the one with index
/// <paramref name="Rejected"/> (y_w and y_l in the paper).</summary>
/// <param name="Chosen">Index of the preferred completion among its example's completions.</param>
/// <param name="Rejected">Index of the other completion.</param>
public readonly record struct PreferencePair(int Chosen, int Rejected);
