using System.Globalization;

namespace Dpo.Tokenization;

/// <summary>
/// Reads the regular expressions of tokenizer files: alternatives; characters, <c>\s \S \d \r \n \t \p{…} \P{…}</c> and classes
/// <c>[…]</c> of them; <c>? * + {n} {n,m}</c> behind a single character, <c>?</c> behind a group, and the possessive <c>?+ *+
/// ++</c>; groups <c>(?:…)</c> and <c>(?i:…)</c>; <c>(?=…)</c> and <c>(?!…)</c>. All else is refused by name, because engines do
/// not agree on it.
/// </summary>
internal sealed class SplitPatternParser
{
    private const int DeepestGroup = 32;

    private readonly string pattern;
    private int at;
    private int depth;

    private SplitPatternParser(string pattern) => this.pattern = pattern;

    /// <summary>Makes the step out of the one that follows it.</summary>
    private delegate SplitPattern.Node? Builder(SplitPattern.Node? next);

    /// <exception cref="FormatException">The message says what is not implemented, and where.</exception>
    public static SplitPattern Parse(string pattern)
    {
        if (pattern.Length > SplitPattern.Longest)
            throw new FormatException($"it has {pattern.Length} characters; at most {SplitPattern.Longest} are taken");
        var parser = new SplitPatternParser(pattern);
        var whole = parser.Alternatives(ignoreCase: false);
        if (parser.at < pattern.Length)
            throw parser.Refuse();
        return whole(null) is { } node ? new SplitPattern(node) : throw new FormatException("it is empty");
    }

    private char Here => at < pattern.Length ? pattern[at] : '\0';

    private bool Take(string text)
    {
        if (!pattern.AsSpan(at).StartsWith(text, StringComparison.Ordinal))
            return false;
        at += text.Length;
        return true;
    }

    private FormatException Refuse(int? place = null)
    {
        var from = Math.Min(place ?? at, pattern.Length);
        return new FormatException(from == pattern.Length
            ? "it ends too early"
            : $"'{pattern[from..Math.Min(from + 12, pattern.Length)]}' at character {from} is not implemented");
    }

    private Builder Alternatives(bool ignoreCase)
    {
        if (++depth > DeepestGroup)
            throw Refuse();
        var branches = new List<Builder>();
        do
            branches.Add(Sequence(ignoreCase));
        while (Take("|"));
        depth--;
        return branches is [var only] ? only : next => new SplitPattern.Choice([.. branches.Select(branch => branch(next))]);
    }

    private Builder Sequence(bool ignoreCase)
    {
        var items = new List<Builder>();
        while (at < pattern.Length && Here is not ('|' or ')'))
            items.Add(Item(ignoreCase));
        return next => Enumerable.Reverse(items).Aggregate(next, (following, item) => item(following));
    }

    private Builder Item(bool ignoreCase)
    {
        if (Here == '(')
            return Group(ignoreCase);
        var characters = Here == '[' ? Class(ignoreCase) : Single(ignoreCase);
        var sign = Here is '?' or '*' or '+';
        var (least, most) = Here switch
        {
            '?' => (0, 1),
            '*' => (0, int.MaxValue),
            '+' => (1, int.MaxValue),
            '{' => Bounds(),
            _ => (1, 1),
        };
        at += sign ? 1 : 0;
        var possessive = sign && Take("+");
        if (Here is '?' or '*' or '+' or '{')
            throw Refuse();
        return next => new SplitPattern.Run(characters, least, most, possessive) { Next = next };
    }

    private (int Least, int Most) Bounds()
    {
        var open = at;
        var close = pattern.IndexOf('}', at);
        var numbers = close < 0 ? [] : pattern[(at + 1)..close].Split(',');
        if (numbers.Length is not (1 or 2)
            || !int.TryParse(numbers[0], NumberStyles.None, CultureInfo.InvariantCulture, out var least))
            throw Refuse(open);
        var most = least;
        if (numbers.Length == 2 && !int.TryParse(numbers[1], NumberStyles.None, CultureInfo.InvariantCulture, out most))
            most = numbers[1].Length == 0 ? int.MaxValue : throw Refuse(open);
        if (most < least || most == 0)
            throw Refuse(open);
        at = close + 1;
        return (least, most);
    }

    private Builder Group(bool ignoreCase)
    {
        var open = at;
        var negative = Take("(?!");
        var ahead = negative || Take("(?=");
        var insensitive = !ahead && Take("(?i:");
        if (!ahead && !insensitive && !Take("(?:"))
            throw Refuse();
        var inner = Alternatives(ignoreCase || insensitive);
        if (!Take(")"))
            throw Refuse(at < pattern.Length ? at : open);
        if (ahead)
        {
            if (Here is '?' or '*' or '+' or '{')
                throw Refuse();
            return next => new SplitPattern.LookAhead(inner(null), negative) { Next = next };
        }
        var optional = Take("?");
        if (Here is '?' or '*' or '+' or '{')
            throw Refuse();
        // Each branch ends in the same following step, so a group needs no mark of its end.
        return optional ? next => new SplitPattern.Choice([inner(next), next]) : inner;
    }

    private CharacterClass Single(bool ignoreCase)
    {
        var negated = pattern.AsSpan(at).StartsWith(@"\S");
        var (categories, ranges) = negated ? WhiteSpace() : Element(ignoreCase, inClass: false);
        return new CharacterClass(categories, ranges, negated);
    }

    private CharacterClass Class(bool ignoreCase)
    {
        var open = at++;
        var negated = Take("^");
        var categories = 0u;
        var ranges = new List<(int First, int Last)>();
        while (Here != ']')
        {
            if (at >= pattern.Length)
                throw Refuse(open);
            var start = at;
            var (elementCategories, elementRanges) = Element(ignoreCase, inClass: true);
            if (Here == '-' && at + 1 < pattern.Length && pattern[at + 1] != ']')
            {
                at++;
                var (lastCategories, last) = Element(ignoreCase, inClass: true);
                if (elementCategories != 0 || lastCategories != 0 || elementRanges[0].First > last[0].First)
                    throw Refuse(start);
                elementRanges = Cased(elementRanges[0].First, last[0].First, ignoreCase);
            }
            categories |= elementCategories;
            ranges.AddRange(elementRanges);
        }
        if (at == open + (negated ? 2 : 1))
            throw Refuse(open);
        at++;
        return new CharacterClass(categories, ranges, negated);
    }

    /// <summary>One character, or an escape that stands for several.</summary>
    private (uint Categories, (int First, int Last)[] Ranges) Element(bool ignoreCase, bool inClass)
    {
        var start = at;
        if (at >= pattern.Length || (inClass ? Here == '[' || Take("&&") : Here is '.' or '^' or '$' or '?' or '*' or '+' or '{'))
            throw Refuse(start);
        if (!Take("\\"))
        {
            var character = char.ConvertToUtf32(pattern, at);
            at += character > char.MaxValue ? 2 : 1;
            return (0, Cased(character, character, ignoreCase));
        }
        var escaped = Here;
        at++;
        switch (escaped)
        {
            case 's':
                at -= 2;
                return WhiteSpace();
            case 'd':
                return (CharacterClass.CategoriesOf("Nd")!.Value, []);
            case 'p' or 'P' when Here == '{' && pattern.IndexOf('}', at) is > 0 and var close
                && CharacterClass.CategoriesOf(pattern[(at + 1)..close]) is { } categories:
                at = close + 1;
                return (escaped == 'p' ? categories : ~categories, []);
            case 'r' or 'n' or 't':
                var control = escaped switch { 'r' => '\r', 'n' => '\n', _ => '\t' };
                return (0, [(control, control)]);
            case > ' ' and < '\x7F' when !char.IsAsciiLetterOrDigit(escaped):
                return (0, [(escaped, escaped)]);
            default:
                throw Refuse(start);
        }
    }

    private (uint Categories, (int First, int Last)[] Ranges) WhiteSpace()
    {
        at += 2;
        return CharacterClass.WhiteSpace;
    }

    private (int First, int Last)[] Cased(int first, int last, bool ignoreCase)
    {
        if (!ignoreCase)
            return [(first, last)];
        if (last >= 128)
            throw Refuse();
        var characters = new List<(int, int)> { (first, last) };
        for (var c = (char)first; c <= last; c++)
        {
            if (char.IsAsciiLetter(c))
                characters.Add((c ^ 32, c ^ 32));
            // Unicode folds the long s and the Kelvin sign to these letters.
            if ((c | 32) is 's' or 'k')
                characters.Add((c | 32) == 's' ? (0x17F, 0x17F) : (0x212A, 0x212A));
        }
        return [.. characters];
    }
}
