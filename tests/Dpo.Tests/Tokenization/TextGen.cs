using CsCheck;

namespace Dpo.Tests;

/// <summary>Text out of every corner of Unicode.</summary>
internal static class TextGen
{
    private static readonly Gen<string> Character =
        Gen.Int[0, 0x10FFFF - 0x800].Select(c => char.ConvertFromUtf32(c < 0xD800 ? c : c + 0x800));

    /// <summary>A character of one plane, drawn first, so that each comes up.</summary>
    private static readonly Gen<string> OfAnyPlane =
        Gen.Select(Gen.Int[0, 16], Gen.Int[0, 0xFFFF]).Select((plane, low) => (plane << 16) + low)
            .Where(c => c is < 0xD800 or > 0xDFFF).Select(char.ConvertFromUtf32);

    private static readonly Gen<string> Troublesome = Gen.OneOf(
        " ", "  ", "\n", "\r\n", "\t", "\0", "\u001F", "\u007F", "\u0085", "\u00A0", "\u2028", "\u3000", "\uFEFF", "\uFFFD", "\uFFFE", "\u200B", "\u200D",
        "\u0301", "\u0323", "\u0344", "e\u0301", "\u212B", "\u1100\u1161", "\u11A8", "\uAC00", "ﬁ", "İ", "ß", "שלום", "\u202Eمرحبا\u202C", "٣", "½",
        "😀", "👩\u200D👩\u200D👧", "🇩🇪", "𝐀", "𠀀", "\U000E0041", "\U0010FFFF", "'s", "'LL", "the", "42", "\u2581", "<0x41>", "</s>", "<|endoftext|>");

    /// <summary>Any text that UTF-8 can hold.</summary>
    public static Gen<string> Any { get; } = Gen.OneOf(Character, OfAnyPlane, Troublesome).List[0, 24].Select(string.Concat);

    /// <summary>Text that may hold halves of surrogate pairs.</summary>
    public static Gen<string> WithHalves { get; } =
        Gen.OneOf(Character, Troublesome, Gen.OneOf("\uD800", "\uDBFF", "\uDC00", "\uDFFF")).List[0, 24].Select(string.Concat);
}
