namespace Dpo.Tokenization;

/// <summary>A step of a tokenizer's normalizer: text to text, before it is cut into words.</summary>
/// <param name="Place">Its file and its place there, for messages.</param>
internal abstract record NormalizerStep(string Place)
{
    public abstract string Apply(string text, TextPlace place);

    /// <summary>The length of what <see cref="Apply"/> would give, or a lower one where it hardly grows.</summary>
    public virtual long LengthAfter(string text) => text.Length;

    /// <summary>Unicode's normalization form C.</summary>
    internal sealed record Compose(string Place) : NormalizerStep(Place)
    {
        public override string Apply(string text, TextPlace place) => CanonicalComposition.Normalize(text);
    }

    /// <summary>Puts a mark in front of every stretch of text but one that continues another.</summary>
    internal sealed record Prepend(string Place, string Mark) : NormalizerStep(Place)
    {
        public override string Apply(string text, TextPlace place) =>
            text.Length == 0 || place == TextPlace.Continuation ? text : Mark + text;

        public override long LengthAfter(string text) => (long)text.Length + Mark.Length;
    }

    /// <summary>Replaces every occurrence of a text.</summary>
    internal sealed record Replace(string Place, string Pattern, string Content) : NormalizerStep(Place)
    {
        public override string Apply(string text, TextPlace place) => text.Replace(Pattern, Content, StringComparison.Ordinal);

        public override long LengthAfter(string text) => TextGrowth.AfterReplace(text, Pattern, Content);
    }
}
