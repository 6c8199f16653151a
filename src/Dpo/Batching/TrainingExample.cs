using Dpo.Data;
using Dpo.Tokenization;

namespace Dpo.Batching;

/// <summary>A <see cref="TokenizedExample"/> with what training adds to it: completions of other prompts, and the reference's
/// log-probabilities. Data and batches hold these; they are made of tokenized examples as they are given.</summary>
/// <param name="Prompt">The prompt's ids, at least one.</param>
/// <param name="Completions">The ids of every completion, each with at least one; those of other prompts last.</param>
/// <param name="Pairs">Which completion was preferred to which, as indices into <paramref name="Completions"/>.</param>
/// <exception cref="ArgumentException">An index names no completion.</exception>
public sealed record TrainingExample(
    IReadOnlyList<int> Prompt,
    IReadOnlyList<IReadOnlyList<int>> Completions,
    IReadOnlyList<PreferencePair> Pairs)
    : TokenizedExample(Prompt, Completions, Pairs)
{
    private TrainingExample(TokenizedExample example)
        : this(example.Prompt, example.Completions, example.Pairs) =>
        (Source, Ranking, Scores, Labels) = (example.Source, example.Ranking, example.Scores, example.Labels);

    /// <summary>So many completions, the last ones, belong to other prompts: KTO measures the policy's distance to the reference
    /// by them (<see cref="PreferenceData.WithMismatches"/>). They have no scores and no labels.</summary>
    public int MismatchedCount { get; init; }

    /// <summary>
    /// For every completion the log-probability of each of its tokens under the reference, in nats; null until
    /// it was computed or loaded (<c>ReferenceLogProbs</c>). Where they are there, no reference is run.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<float>>? ReferenceLogProbs { get; init; }

    /// <summary>What the example counts in a number of pairs: its pairs; without any its completions, mismatched ones aside,
    /// since what KTO measures the KL by comes on top of what is trained on, as in TRL.</summary>
    internal int PairWeight => Pairs.Count > 0 ? Pairs.Count : Completions.Count - MismatchedCount;

    /// <summary>The example itself, or one that training has added nothing to yet.</summary>
    internal static TrainingExample Of(TokenizedExample example) => example as TrainingExample ?? new(example);
}
