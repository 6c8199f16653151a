using System.Globalization;
using System.Text;

namespace Dpo.Tokenization;

/// <summary>A step of turning tokens back into text, under Hugging Face's names.</summary>
/// <param name="Place">Its file and its place there, for messages.</param>
internal abstract record DecoderStep(string Place)
{
    public abstract List<string> Apply(List<string> tokens);

    /// <summary>The length of all that <see cref="Apply"/> would give, for a step that may lengthen it; else 0.</summary>
    public virtual long LengthAfter(List<string> tokens) => 0;

    /// <summary>Replaces a text within every token.</summary>
    internal sealed record Replace(string Place, string Pattern, string Content) : DecoderStep(Place)
    {
        public override long LengthAfter(List<string> tokens) =>
            tokens.Sum(token => TextGrowth.AfterReplace(token, Pattern, Content));

        public override List<string> Apply(List<string> tokens) =>
            tokens.ConvertAll(token => token.Replace(Pattern, Content, StringComparison.Ordinal));
    }

    /// <summary>Makes characters of tokens that are bytes; of a row of bytes that is no UTF-8, every one becomes
    /// U+FFFD.</summary>
    internal sealed record ByteFallback(string Place) : DecoderStep(Place)
    {
        private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

        public override List<string> Apply(List<string> tokens)
        {
            var texts = new List<string>();
            var row = new List<byte>();
            void EndRow()
            {
                try
                {
                    texts.Add(Strict.GetString([.. row]));
                }
                catch (DecoderFallbackException)
                {
                    texts.Add(new string('\uFFFD', row.Count));
                }
                row.Clear();
            }
            foreach (var token in tokens)
            {
                if (ByteOf(token) is { } value)
                {
                    row.Add(value);
                    continue;
                }
                if (row.Count > 0)
                    EndRow();
                texts.Add(token);
            }
            if (row.Count > 0)
                EndRow();
            return texts;
        }

        /// <summary>The byte that a token spells, or null.</summary>
        public static byte? ByteOf(string token) =>
            token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
            && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
                ? value
                : null;
    }

    /// <summary>Makes one text of all tokens.</summary>
    internal sealed record Fuse(string Place) : DecoderStep(Place)
    {
        public override List<string> Apply(List<string> tokens) => [string.Concat(tokens)];
    }

    /// <summary>Takes up to so many of a character from the beginning and the end of every token.</summary>
    internal sealed record Strip(string Place, char Content, int Start, int Stop) : DecoderStep(Place)
    {
        public override List<string> Apply(List<string> tokens) => tokens.ConvertAll(token =>
        {
            var (from, to) = (0, token.Length);
            while (from < to && from < Start && token[from] == Content)
                from++;
            while (to > from && token.Length - to < Stop && token[to - 1] == Content)
                to--;
            return token[from..to];
        });
    }

    /// <summary>Makes spaces of SentencePiece's mark; where the text got one in front, the first token loses it.</summary>
    internal sealed record Metaspace(string Place, char Mark, bool Prepended) : DecoderStep(Place)
    {
        public override List<string> Apply(List<string> tokens) =>
            [.. tokens.Select(
                (token, index) => token.Replace(Mark.ToString(), index == 0 && Prepended ? "" : " ", StringComparison.Ordinal))];
    }
}
