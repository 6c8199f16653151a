using System.Text;

namespace Dpo.Tokenization;

/// <summary>
/// The regular expressions that tokenizers cut text into words with, matched over Unicode characters.
/// </summary>
/// <remarks>
/// <para>Of a language of our own because .NET's regular expressions see UTF-16 code units: to them a letter outside the basic
/// plane (𝐀, 𠀀) is two surrogates and no letter, and the cut, hence the ids, would differ from those the model was trained on.
/// What is understood is what these patterns are made of, see <see cref="SplitPatternParser"/>; the rest is refused there.</para>
/// <para>As in Oniguruma, which Hugging Face's tokenizers use, the first alternative that matches is taken and repetition is
/// greedy. Only single characters are repeated, so that depth does not grow with the text. Time grows with it alone: a text may
/// take so many steps a character, of which the patterns of published tokenizers take a handful, and a pattern that goes back
/// over the same text again and again is refused.</para>
/// </remarks>
internal sealed class SplitPattern(SplitPattern.Node start)
{
    /// <summary>GPT-2's cut, which the pre-tokenizer ByteLevel stands for.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>The most characters of a pattern. A match goes as deep as the pattern is long.</summary>
    public const int Longest = 2048;

    private const long StepsPerCharacter = 1000;

    // Short texts have so many characters more.
    private const long Allowance = 16;

    private string place = "The split pattern";

    /// <summary>A step of the pattern; null is the end of it.</summary>
    internal abstract class Node
    {
        /// <summary>What comes after it.</summary>
        public Node? Next { get; init; }
    }

    /// <summary>Characters of a class, as many as there are, but at least and at most so many.</summary>
    internal sealed class Run(CharacterClass characters, int least, int most, bool possessive) : Node
    {
        public CharacterClass Characters => characters;

        public int Least => least;

        public int Most => most;

        /// <summary>Whether it never gives back a character it took.</summary>
        public bool Possessive => possessive;
    }

    /// <summary>The first branch that leads to a match; every branch goes on to what follows by itself.</summary>
    internal sealed class Choice(Node?[] branches) : Node
    {
        public Node?[] Branches => branches;
    }

    /// <summary>What must, or must not, come next, without being taken.</summary>
    internal sealed class LookAhead(Node? ahead, bool negative) : Node
    {
        public Node? Ahead => ahead;

        public bool Negative => negative;
    }

    /// <summary>The pattern that finds a text as it stands.</summary>
    /// <param name="text">One character or more.</param>
    public static SplitPattern Literal(string text) => new(text.EnumerateRunes().Reverse().Aggregate(
        (Node?)null, (next, rune) => new Run(new CharacterClass(0, [(rune.Value, rune.Value)]), 1, 1, false) { Next = next })!);

    /// <summary>The same pattern, which messages call by its place.</summary>
    public SplitPattern At(string name) => new(start) { place = name };

    /// <summary>The matches, and the stretches between them, in order; together they are the whole text.</summary>
    /// <exception cref="InvalidInputException">The pattern takes too many steps on this text.</exception>
    public IEnumerable<(int Start, int End, bool IsMatch)> Cut(ReadOnlyMemory<char> text)
    {
        var gap = 0;
        var steps = StepsPerCharacter * (text.Length + Allowance);
        for (var at = 0; at < text.Length;)
        {
            var end = Match(start, text.Span, at, ref steps);
            // An empty match cuts nothing here: no tokenizer's pattern is meant to match nothing.
            if (end <= at)
            {
                at += Width(text.Span, at);
                continue;
            }
            if (gap < at)
                yield return (gap, at, false);
            yield return (at, end, true);
            gap = at = end;
        }
        if (gap < text.Length)
            yield return (gap, text.Length, false);
    }

    /// <summary>The end of the match that begins here; -1 where there is none. In one piece, since it calls itself: a frame more
    /// for each run of a pattern was too much for the stack.</summary>
    private int Match(Node? node, ReadOnlySpan<char> text, int at, ref long steps)
    {
        while (node is not null)
        {
            if (--steps < 0)
                throw TooManySteps(text.Length);
            switch (node)
            {
                case Run { Least: 1, Most: 1 } one:
                    if (at == text.Length || !one.Characters.Contains(text, at, out var width))
                        return -1;
                    at += width;
                    break;
                case Run run:
                    var count = 0;
                    var from = at;
                    while (count < run.Most && at < text.Length && run.Characters.Contains(text, at, out var taken))
                    {
                        at += taken;
                        count++;
                    }
                    steps -= count;
                    if (count < run.Least)
                        return -1;
                    if (run.Possessive || run.Next is null)
                        break;
                    for (; count > run.Least; count--)
                    {
                        if (Match(run.Next, text, at, ref steps) is >= 0 and var end)
                            return end;
                        at -= char.IsLowSurrogate(text[at - 1]) && at - from > 1 && char.IsHighSurrogate(text[at - 2]) ? 2 : 1;
                    }
                    break;
                case LookAhead look:
                    if (Match(look.Ahead, text, at, ref steps) >= 0 == look.Negative)
                        return -1;
                    break;
                case Choice choice:
                    foreach (var branch in choice.Branches)
                    {
                        if (Match(branch, text, at, ref steps) is >= 0 and var end)
                            return end;
                    }
                    return -1;
                default:
                    throw new InvalidOperationException();
            }
            node = node.Next;
        }
        return at;
    }

    private InvalidInputException TooManySteps(int length) => new(
        $"{place} takes more than {StepsPerCharacter} steps a character on a text of {length} characters, " +
        "because it tries the same ways again and again; take another pattern.");

    private static int Width(ReadOnlySpan<char> text, int at)
    {
        Rune.DecodeFromUtf16(text[at..], out _, out var width);
        return width;
    }
}
