using System.Text.RegularExpressions;

namespace Dpo.Samples;

/// <summary>What a text mentions: phrases as whole words, in any case, whatever stands between the words.</summary>
/// <param name="text">The text.</param>
internal sealed partial class Mentions(string text)
{
    private readonly string words = Words(text);

    /// <summary>Whether the text has the words of a phrase, one behind the other.</summary>
    public bool Has(string phrase) => words.Contains(Words(phrase), StringComparison.Ordinal);

    /// <summary>How many phrases the text has.</summary>
    public int Count(IEnumerable<string> phrases) => phrases.Count(Has);

    private static string Words(string text) =>
        $" {string.Join(' ', Word().Matches(text).Select(match => match.Value.ToLowerInvariant()))} ";

    [GeneratedRegex(@"[\p{L}\p{N}]+")]
    private static partial Regex Word();
}
