using System.Globalization;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Dpo;

/// <summary>
/// Splits text into the words that GPT-2's byte pair encoding never merges across:
/// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.
/// </summary>
/// <remarks>
/// Written out by hand because .NET's regular expressions see UTF-16 code units: to them a letter outside the basic
/// plane (𝐀, 𠀀) is two surrogates and no letter, and the split, hence the ids, would differ from GPT-2's.
/// </remarks>
internal sealed class ByteLevelPreTokenizer : PreTokenizer
{
    private enum Kind
    {
        Letter,
        Number,
        Space,
        Other,
    }

    /// <inheritdoc/>
    public override IEnumerable<(int Offset, int Length)> PreTokenize(string text) => PreTokenize(text.AsSpan());

    /// <inheritdoc/>
    public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text)
    {
        var words = new List<(int, int)>();
        for (var start = 0; start < text.Length;)
        {
            var length = WordLength(text[start..]);
            words.Add((start, length));
            start += length;
        }
        return words;
    }

    private static int WordLength(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'' && ContractionLength(text) is > 0 and var contraction)
            return contraction;
        var (kind, _) = KindAt(text);
        if (kind != Kind.Space)
            return RunLength(text, kind);
        // A single space belongs to the word after it.
        if (text[0] == ' ' && text.Length > 1 && KindAt(text[1..]).Kind is var next && next != Kind.Space)
            return 1 + RunLength(text[1..], next);
        // A longer run of white space leaves its last character to what follows.
        var run = RunLength(text, Kind.Space);
        return run == text.Length || run == 1 ? run : run - 1;
    }

    private static int ContractionLength(ReadOnlySpan<char> text)
    {
        if (text.Length > 1 && text[1] is 's' or 't' or 'm' or 'd')
            return 2;
        return text.Length > 2 && text[1..3] is "re" or "ve" or "ll" ? 3 : 0;
    }

    private static int RunLength(ReadOnlySpan<char> text, Kind kind)
    {
        var length = 0;
        while (length < text.Length && KindAt(text[length..]) is var (next, width) && next == kind)
            length += width;
        return length;
    }

    private static (Kind Kind, int Width) KindAt(ReadOnlySpan<char> text)
    {
        Rune.DecodeFromUtf16(text, out var rune, out var width);
        if (Rune.IsWhiteSpace(rune))
            return (Kind.Space, width);
        return Rune.GetUnicodeCategory(rune) switch
        {
            <= UnicodeCategory.OtherLetter => (Kind.Letter, width),
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber =>
                (Kind.Number, width),
            _ => (Kind.Other, width),
        };
    }
}
