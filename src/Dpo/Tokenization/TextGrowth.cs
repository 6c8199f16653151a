namespace Dpo.Tokenization;

/// <summary>How long a text may become by what a tokenizer's file has done to it: six steps that write ten letters for one would
/// make a gigabyte of a page.</summary>
internal static class TextGrowth
{
    // No published tokenizer more than trebles a text.
    private const long Most = 16;
    private const long Room = 16;

    /// <summary>The most characters that may become of so many.</summary>
    public static long Limit(long length) => Most * (length + Room);

    /// <summary>The length of a text once all occurrences of a part are replaced, before anything is allocated.</summary>
    public static long AfterReplace(string text, string part, string by) =>
        text.Length + ((long)text.AsSpan().Count(part) * (by.Length - part.Length));

    /// <summary>Refuses a length above the limit.</summary>
    /// <param name="length">What a step would make.</param>
    /// <param name="limit">See <see cref="Limit"/>.</param>
    /// <param name="step">The file and the step.</param>
    public static void Check(long length, long limit, string step)
    {
        if (length > limit)
        {
            throw new InvalidInputException(
                $"{step} makes {length} characters of a text that may become {limit}; " +
                $"a tokenizer's steps lengthen a text {Most}-fold at most.");
        }
    }
}
