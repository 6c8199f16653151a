using System.Text;

namespace Dpo.Tokenization;

/// <summary>
/// GPT-2's spelling of bytes as visible characters, in which byte-level vocabularies and merges are written.
/// </summary>
/// <remarks>
/// A printable byte of Latin-1 is spelled by its own character; the other 68 take the characters from U+0100 on, in
/// order, so that the space becomes <c>Ġ</c> and the newline <c>Ċ</c>.
/// </remarks>
internal static class ByteLevel
{
    private static readonly char[] CharacterOfByte = Spell();

    private static readonly Dictionary<char, byte> ByteOfCharacter =
        Enumerable.Range(0, 256).ToDictionary(b => CharacterOfByte[b], b => (byte)b);

    /// <summary>The visible character of every byte, indexed by the byte.</summary>
    public static ReadOnlySpan<char> Characters => CharacterOfByte;

    /// <summary>How vocabularies with byte fallback spell a byte.</summary>
    public static string Fallback(int value) => $"<0x{value:X2}>";

    /// <summary>The text's UTF-8 bytes as visible characters.</summary>
    public static string Encode(ReadOnlySpan<char> text)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, bytes);
        return string.Create(bytes.Length, bytes, static (characters, bytes) =>
        {
            for (var i = 0; i < bytes.Length; i++)
                characters[i] = CharacterOfByte[bytes[i]];
        });
    }

    /// <summary>The bytes a token spells; a token with a character that spells no byte stands for its own UTF-8.</summary>
    public static byte[] Decode(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (!ByteOfCharacter.TryGetValue(token[i], out bytes[i]))
                return Encoding.UTF8.GetBytes(token);
        }
        return bytes;
    }

    private static char[] Spell()
    {
        var characters = new char[256];
        var next = '\u0100';
        for (var b = 0; b < characters.Length; b++)
        {
            var printable = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            characters[b] = printable ? (char)b : next++;
        }
        return characters;
    }
}
