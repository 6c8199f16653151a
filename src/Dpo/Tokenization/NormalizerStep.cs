namespace Dpo;

/// <summary>A step of a tokenizer's normalizer: text to text, before it is cut into words.</summary>
internal abstract record NormalizerStep
{
    public abstract string Apply(string text, TextPlace place);

    /// <summary>Unicode's normalization form C.</summary>
    internal sealed record Compose : NormalizerStep
    {
        public override string Apply(string text, TextPlace place) => CanonicalComposition.Normalize(text);
    }

    /// <summary>Puts a mark in front of every stretch of text but one that continues another.</summary>
    internal sealed record Prepend(string Mark) : NormalizerStep
    {
        public override string Apply(string text, TextPlace place) =>
            text.Length == 0 || place == TextPlace.Continuation ? text : Mark + text;
    }

    /// <summary>Replaces every occurrence of a text.</summary>
    internal sealed record Replace(string Pattern, string Content) : NormalizerStep
    {
        public override string Apply(string text, TextPlace place) => text.Replace(Pattern, Content, StringComparison.Ordinal);
    }
}
