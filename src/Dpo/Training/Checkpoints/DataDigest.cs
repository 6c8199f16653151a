using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Dpo;

/// <summary>SHA-256 of all that examples are trained on: ids, what is known of the completions, and reference log-probabilities
/// that they carry. Sources are not part of it: a file may be moved.</summary>
internal static class DataDigest
{
    public static string Of(PreferenceData data)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Append<T>(IEnumerable<T>? values)
            where T : unmanaged
        {
            T[] array = [.. values ?? []];
            // The length stands in front, so that nothing can move from one list to the next unseen; no list is another than an empty one.
            hash.AppendData(BitConverter.GetBytes(values is null ? -1 : array.Length));
            hash.AppendData(MemoryMarshal.AsBytes<T>(array));
        }
        foreach (var example in data.Examples)
        {
            Append(example.Prompt);
            Append<int>([example.Completions.Count, example.MismatchedCount]);
            foreach (var completion in example.Completions)
                Append(completion);
            Append(example.Pairs.SelectMany(pair => new[] { pair.Chosen, pair.Rejected }));
            Append(example.Ranking);
            Append(example.Scores);
            Append(example.Labels);
            Append(example.ReferenceLogProbs?.SelectMany(values => values));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
