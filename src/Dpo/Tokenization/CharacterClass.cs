using System.Globalization;
using System.Text;

namespace Dpo.Tokenization;

/// <summary>A set of Unicode characters, by general category and by ranges.</summary>
internal sealed class CharacterClass
{
    private readonly uint categories;
    private readonly (int First, int Last)[] ranges;
    private readonly bool negated;
    private readonly bool[] ascii = new bool[128];

    /// <summary>Creates a set.</summary>
    /// <param name="categories">One bit for each <see cref="UnicodeCategory"/>.</param>
    /// <param name="ranges">Characters from the first to the last, both included.</param>
    /// <param name="negated">Whether the set is all other characters.</param>
    public CharacterClass(uint categories, IEnumerable<(int First, int Last)> ranges, bool negated = false)
    {
        this.categories = categories;
        this.ranges = [.. ranges];
        this.negated = negated;
        for (var c = 0; c < ascii.Length; c++)
            ascii[c] = Holds(new Rune(c));
    }

    /// <summary>White space as Unicode defines it: all separators, and the controls that end or move a line.</summary>
    public static (uint Categories, (int First, int Last)[] Ranges) WhiteSpace { get; } =
        (CategoriesOf("Z")!.Value, [(9, 13), (0x85, 0x85)]);

    /// <summary>The bits of a category's name, such as <c>L</c> or <c>Lu</c>; null where there is no such category.</summary>
    public static uint? CategoriesOf(string name)
    {
        // In the order of UnicodeCategory.
        string[] names =
        [
            "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
            "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
        ];
        var bits = 0u;
        foreach (var (index, known) in names.Index())
        {
            if (name == known || (name.Length == 1 && name[0] == known[0]))
                bits |= 1u << index;
        }
        return bits == 0 ? null : bits;
    }

    /// <summary>Whether the set holds the character that begins here, and how many code units it has.</summary>
    public bool Contains(ReadOnlySpan<char> text, int at, out int width)
    {
        if (text[at] < 128)
        {
            width = 1;
            return ascii[text[at]];
        }
        Rune.DecodeFromUtf16(text[at..], out var rune, out width);
        return Holds(rune);
    }

    private bool Holds(Rune rune)
    {
        var held = (categories & (1u << (int)Rune.GetUnicodeCategory(rune))) != 0;
        foreach (var (first, last) in ranges)
            held |= rune.Value >= first && rune.Value <= last;
        return held != negated;
    }
}
