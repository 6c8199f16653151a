namespace Dpo.Tokenization;

/// <summary>Where a stretch of text lies, which decides whether a word mark is put in front of it.</summary>
internal enum TextPlace
{
    /// <summary>At the beginning of a text.</summary>
    Beginning,

    /// <summary>At the beginning of a text that continues another: nothing is put in front.</summary>
    Continuation,

    /// <summary>Behind an added token or another word.</summary>
    Inside,
}
