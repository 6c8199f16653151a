using System.Buffers.Binary;
using System.Globalization;
using Dpo.Files;

namespace Dpo.Data;

/// <summary>
/// What examples say, as 128 bits of a SHA-256: so that a data set is searched for what it repeats without being held in memory.
/// Two different ones of a billion share a hash with a probability below 1e-20.
/// </summary>
internal static class ContentHash
{
    /// <summary>The hash of texts in their order.</summary>
    public static UInt128 Of(params IEnumerable<string> texts)
    {
        using var digest = new Digest();
        foreach (var text in texts)
            digest.Append(text);
        return BinaryPrimitives.ReadUInt128LittleEndian(digest.End());
    }

    /// <summary>The hash of an example: the same however its completions and pairs are ordered.</summary>
    public static UInt128 Of(PreferenceExample example)
    {
        static string Number(float value) => value.ToString("R", CultureInfo.InvariantCulture);
        string Completion(int index) => example.Completions[index];
        return Of(
        [
            example.Prompt,
            example.Conversation is null ? "text" : "chat",
            .. Enumerable.Range(0, example.Completions.Count)
                .Select(index =>
                    $"{(example.Scores is { } scores ? Number(scores[index]) : "")} {example.Labels?[index]} {Completion(index)}")
                .Order(StringComparer.Ordinal),
            .. example.Pairs.Select(pair => Of(Completion(pair.Chosen), Completion(pair.Rejected))).Order()
                .Select(pair => pair.ToString(CultureInfo.InvariantCulture)),
            .. (example.Ranking ?? []).Select(Completion),
        ]);
    }

    /// <summary>The hash of a pair of a prompt's completions.</summary>
    public static UInt128 Of(PreferenceExample example, PreferencePair pair) =>
        Of(example.Prompt, example.Completions[pair.Chosen], example.Completions[pair.Rejected]);
}
