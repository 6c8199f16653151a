using System.Globalization;
using System.Text;

namespace Dpo.Tokenization;

/// <summary>Unicode's normalization form C: characters decomposed, their marks put into order, and composed again.</summary>
/// <remarks>
/// Our own because <see cref="string.Normalize()"/> asks the system's ICU library, and where there is none, or the application
/// runs with invariant globalization, returns the text as it was without a word: a tokenizer's ids would depend on the machine.
/// The data lie beside this file.
/// </remarks>
internal static class CanonicalComposition
{
    // The Hangul syllables, which follow from their letters by arithmetic (The Unicode Standard, section 3.12).
    private const int Syllable = 0xAC00, Lead = 0x1100, Vowel = 0x1161, Trail = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28;

    // No character below composes with another or changes place.
    private const char FirstOfInterest = '\u0300';

    private static readonly Dictionary<int, int[]> Decompositions = [];
    private static readonly Dictionary<(int, int), int> Compositions = [];
    private static readonly Dictionary<int, int> Classes = [];

    static CanonicalComposition()
    {
        using var stream =
            typeof(CanonicalComposition).Assembly.GetManifestResourceStream("Dpo.Tokenization.CanonicalCharacters.txt")!;
        using var lines = new StreamReader(stream);
        while (lines.ReadLine() is { } line)
        {
            if (line.StartsWith('#'))
                continue;
            var parts = line.Split(' ');
            if (parts[0].Split("..") is [var first, var last])
            {
                for (var c = Number(first); c <= Number(last); c++)
                    Classes[c] = int.Parse(parts[1], CultureInfo.InvariantCulture);
                continue;
            }
            var composed = Number(parts[0]);
            int[] decomposed = [.. parts[2..].Select(Number)];
            Decompositions[composed] = decomposed;
            if (parts[1] == "=")
                Compositions[(decomposed[0], decomposed[1])] = composed;
        }
    }

    private static int Number(string hexadecimal) => int.Parse(hexadecimal, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <summary>The text in normalization form C.</summary>
    /// <param name="text">Text without unpaired surrogates.</param>
    public static string Normalize(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange(FirstOfInterest, char.MaxValue))
            return text;
        var characters = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
            Decompose(rune.Value, characters);
        Order(characters);
        Compose(characters);
        var composed = new StringBuilder(text.Length);
        foreach (var character in characters)
            composed.Append(new Rune(character));
        return composed.ToString();
    }

    private static void Decompose(int character, List<int> into)
    {
        if (character - Syllable is >= 0 and < Leads * Vowels * Trails and var index)
        {
            into.Add(Lead + (index / (Vowels * Trails)));
            into.Add(Vowel + (index % (Vowels * Trails) / Trails));
            if (index % Trails > 0)
                into.Add(Trail + (index % Trails));
        }
        else if (Decompositions.TryGetValue(character, out var parts))
        {
            foreach (var part in parts)
                Decompose(part, into);
        }
        else
        {
            into.Add(character);
        }
    }

    /// <summary>Marks in a row stand in order of their class; those of one class keep theirs.</summary>
    private static void Order(List<int> characters)
    {
        for (var i = 0; i < characters.Count; i++)
        {
            var end = i;
            while (end < characters.Count && Class(characters[end]) != 0)
                end++;
            if (end - i > 1)
            {
                var marks = characters.GetRange(i, end - i).OrderBy(Class).ToList();
                for (var j = 0; j < marks.Count; j++)
                    characters[i + j] = marks[j];
            }
            i = end;
        }
    }

    private static void Compose(List<int> characters)
    {
        var kept = 0;
        var starter = -1;
        var lastClass = -1;
        for (var i = 0; i < characters.Count; i++)
        {
            var character = characters[i];
            var own = Class(character);
            // A character is blocked from its starter by another between them of class 0, or of a class not below its own.
            if (starter >= 0 && lastClass < own && Pair(characters[starter], character) is { } composed)
            {
                characters[starter] = composed;
                continue;
            }
            if (own == 0)
                (starter, lastClass) = (kept, -1);
            else
                lastClass = own;
            characters[kept++] = character;
        }
        characters.RemoveRange(kept, characters.Count - kept);
    }

    private static int? Pair(int first, int second)
    {
        if (first - Lead is >= 0 and < Leads and var lead && second - Vowel is >= 0 and < Vowels and var vowel)
            return Syllable + (((lead * Vowels) + vowel) * Trails);
        if (first - Syllable is >= 0 and < Leads * Vowels * Trails and var syllable && syllable % Trails == 0
            && second - Trail is > 0 and < Trails and var trail)
            return first + trail;
        return Compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }

    private static int Class(int character) => Classes.GetValueOrDefault(character);
}
