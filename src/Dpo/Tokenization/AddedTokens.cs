using System.Buffers;

namespace Dpo.Tokenization;

/// <summary>A token that is matched as it stands. A special one stands for something that is no text, such as its end.</summary>
/// <param name="Content">Its text.</param>
/// <param name="Id">Its id.</param>
/// <param name="Special">Whether it stands for something that is no text.</param>
/// <param name="TakesSpaceBefore">Whether white space in front of it belongs to it (<c>lstrip</c>).</param>
/// <param name="TakesSpaceAfter">Whether white space behind it belongs to it (<c>rstrip</c>).</param>
/// <param name="Normalized">Whether it is looked for in the normalized text, after the others.</param>
internal sealed record AddedToken(
    string Content, int Id, bool Special, bool TakesSpaceBefore = false, bool TakesSpaceAfter = false, bool Normalized = false);

/// <summary>Finds added tokens in a text: the leftmost first, and of those that begin at one place the longest.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<string, AddedToken> byText = new(StringComparer.Ordinal);
    private readonly int[] longestFirst;
    private readonly SearchValues<string> search;

    /// <param name="tokens">The tokens, each with the text it is found by, which is not empty.</param>
    public AddedTokens(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        // Two may be found by one text, once it is normalized; the first of them is meant.
        foreach (var (text, token) in tokens)
            byText.TryAdd(text, token);
        longestFirst = [.. byText.Keys.Select(text => text.Length).Distinct().OrderDescending()];
        search = SearchValues.Create([.. byText.Keys], StringComparison.Ordinal);
    }

    /// <summary>The stretches of a text in order, each with the token it is, or null where it is none.</summary>
    public IEnumerable<(int Start, int End, AddedToken? Token)> Cut(string text)
    {
        var given = 0;
        for (var from = 0; from < text.Length;)
        {
            var at = byText.Count == 0 ? -1 : text.AsSpan(from).IndexOfAny(search);
            if (at < 0)
                break;
            var start = from + at;
            var token = LongestAt(text.AsSpan(start), out var length);
            from = start + length;
            var end = from;
            // White space that the token before has taken is taken.
            while (token.TakesSpaceBefore && start > given && char.IsWhiteSpace(text[start - 1]))
                start--;
            while (token.TakesSpaceAfter && end < text.Length && char.IsWhiteSpace(text[end]))
                end++;
            if (given < start)
                yield return (given, start, null);
            yield return (start, end, token);
            given = end;
        }
        if (given < text.Length)
            yield return (given, text.Length, null);
    }

    /// <summary>The longest token that a text begins with; there is one.</summary>
    private AddedToken LongestAt(ReadOnlySpan<char> text, out int length)
    {
        var tokens = byText.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var candidate in longestFirst)
        {
            length = candidate;
            if (candidate <= text.Length && tokens.TryGetValue(text[..candidate], out var token))
                return token;
        }
        throw new InvalidOperationException("The search found a token that is not there.");
    }
}
