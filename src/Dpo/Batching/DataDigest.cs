using Dpo.Files;

namespace Dpo.Batching;

/// <summary>What data are known by. Sources are not part of it: a file may be moved.</summary>
/// <param name="All">SHA-256 of all that examples are trained on: ids, what is known of the completions, and reference
/// log-probabilities that they carry.</param>
/// <param name="Tokens">SHA-256 of the ids of every prompt and completion, in order: what models say follows from them
/// alone.</param>
internal sealed record DataDigest(string All, string Tokens)
{
    /// <summary>The digest of examples.</summary>
    public static DataDigest Of(IEnumerable<TrainingExample> examples)
    {
        using var building = new DataDigestBuilder();
        foreach (var example in examples)
            building.Append(example);
        return building.End();
    }
}

/// <summary>Takes the digest of examples that come one by one.</summary>
internal sealed class DataDigestBuilder : IDisposable
{
    private readonly Digest all = new();
    private readonly Digest tokens = new();

    /// <summary>Adds the next example.</summary>
    public void Append(TrainingExample example)
    {
        all.Append(example.Prompt);
        all.Append([example.Completions.Count, example.MismatchedCount]);
        foreach (var completion in example.Completions)
            all.Append(completion);
        all.Append(example.Pairs.SelectMany(pair => new[] { pair.Chosen, pair.Rejected }));
        all.Append(example.Ranking);
        all.Append(example.Scores);
        all.Append(example.Labels);
        all.Append(example.ReferenceLogProbs?.SelectMany(values => values));

        tokens.Append(example.Prompt);
        tokens.Append(example.Completions.Count);
        foreach (var completion in example.Completions)
            tokens.Append(completion);
    }

    /// <summary>The digest of what was added.</summary>
    public DataDigest End() => new(all.EndAsText(), tokens.EndAsText());

    public void Dispose()
    {
        all.Dispose();
        tokens.Dispose();
    }
}
