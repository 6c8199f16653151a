using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Dpo.Tokenization;

namespace Dpo.Batching;

/// <summary>What data are known by. Sources are not part of it: a file may be moved.</summary>
/// <param name="All">SHA-256 of all that examples are trained on: ids, what is known of the completions, and reference
/// log-probabilities that they carry.</param>
/// <param name="Tokens">SHA-256 of the ids of every prompt and completion, in order: what models say follows from them
/// alone.</param>
internal sealed record DataDigest(string All, string Tokens)
{
    /// <summary>The digest of examples.</summary>
    public static DataDigest Of(IEnumerable<TokenizedExample> examples)
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
    private readonly IncrementalHash all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly IncrementalHash tokens = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>Adds the next example.</summary>
    public void Append(TokenizedExample example)
    {
        Append(all, example.Prompt);
        Append<int>(all, [example.Completions.Count, example.MismatchedCount]);
        foreach (var completion in example.Completions)
            Append(all, completion);
        Append(all, example.Pairs.SelectMany(pair => new[] { pair.Chosen, pair.Rejected }));
        Append(all, example.Ranking);
        Append(all, example.Scores);
        Append(all, example.Labels);
        Append(all, example.ReferenceLogProbs?.SelectMany(values => values));

        Append(tokens, example.Prompt);
        tokens.AppendData(BitConverter.GetBytes(example.Completions.Count));
        foreach (var completion in example.Completions)
            Append(tokens, completion);
    }

    /// <summary>The digest of what was added.</summary>
    public DataDigest End() =>
        new(Convert.ToHexStringLower(all.GetHashAndReset()), Convert.ToHexStringLower(tokens.GetHashAndReset()));

    public void Dispose()
    {
        all.Dispose();
        tokens.Dispose();
    }

    private static void Append<T>(IncrementalHash hash, IEnumerable<T>? values)
        where T : unmanaged
    {
        T[] array = [.. values ?? []];
        // The length stands in front, so that nothing can move from one list to the next unseen; no list is another than an
        // empty one.
        hash.AppendData(BitConverter.GetBytes(values is null ? -1 : array.Length));
        hash.AppendData(MemoryMarshal.AsBytes<T>(array));
    }
}
