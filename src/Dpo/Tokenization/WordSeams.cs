namespace Dpo.Tokenization;

/// <summary>
/// Cuts text where no merge could join what lies on either side: byte pair encoding of the parts is byte pair encoding of the
/// whole, and parts that come again need not be encoded again.
/// </summary>
/// <remarks>
/// A merge joins two tokens at a seam of two characters, the last of the left one and the first of the right one. Where the two
/// characters of the text are no merge's seam, every token ends. Only characters of the vocabulary can be sure of that: another
/// one is spelled in bytes, whose merges have other seams.
/// </remarks>
internal sealed class WordSeams
{
    private readonly HashSet<(char, char)> seams;
    private readonly HashSet<char> known;

    public WordSeams(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<(string Left, string Right)> merges)
    {
        seams = [.. merges.Select(merge => (merge.Left[^1], merge.Right[0]))];
        known = [.. vocabulary.Keys.Where(token => token.Length == 1).Select(token => token[0])];
    }

    public IEnumerable<ReadOnlyMemory<char>> Cut(ReadOnlyMemory<char> text)
    {
        var start = 0;
        for (var i = 1; i < text.Length; i++)
        {
            var (left, right) = (text.Span[i - 1], text.Span[i]);
            if (!known.Contains(left) || !known.Contains(right) || seams.Contains((left, right)))
                continue;
            yield return text[start..i];
            start = i;
        }
        yield return text[start..];
    }
}
