using System.Text.RegularExpressions;

namespace Dpo.Evaluation.Judging;

/// <summary>How much a text has in common with a reference, from 0 to 1: F1, the harmonic mean of the shares of either that the
/// other has too (Lin 2004, ROUGE). Words are runs of letters and digits of any script, in lower case, without
/// stemming.</summary>
public static partial class TextOverlap
{
    /// <summary>ROUGE-L: of the longest sequence of words that both have in the same order, with or without others in
    /// between.</summary>
    /// <param name="text">The text.</param>
    /// <param name="reference">The reference. Which of the two is which makes no difference.</param>
    /// <returns>From 0 to 1; 0 where either has no word.</returns>
    public static double RougeL(string text, string reference)
    {
        var (words, others) = (Words(text), Words(reference));
        // One row of the table of common subsequences; `before` is its entry to the upper left.
        var row = new int[others.Length + 1];
        foreach (var word in words)
        {
            for (var (column, before) = (1, 0); column < row.Length; column++)
            {
                var above = row[column];
                row[column] = word == others[column - 1] ? before + 1 : Math.Max(above, row[column - 1]);
                before = above;
            }
        }
        return F1(row[^1], words.Length, others.Length);
    }

    /// <summary>ROUGE-1: of single words, wherever they stand; one that occurs more often in one text counts as often as in the
    /// other.</summary>
    /// <param name="text">The text.</param>
    /// <param name="reference">The reference. Which of the two is which makes no difference.</param>
    /// <returns>From 0 to 1; 0 where either has no word.</returns>
    public static double Unigrams(string text, string reference)
    {
        var (words, others) = (Words(text), Words(reference));
        var left = others.CountBy(word => word).ToDictionary();
        var common = words.CountBy(word => word).Sum(word => Math.Min(word.Value, left.GetValueOrDefault(word.Key)));
        return F1(common, words.Length, others.Length);
    }

    private static double F1(int common, int words, int others) => common == 0 ? 0 : 2.0 * common / (words + others);

    private static string[] Words(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return [.. Word().Matches(text).Select(match => match.Value.ToLowerInvariant())];
    }

    [GeneratedRegex(@"[\p{L}\p{M}\p{Nd}]+")]
    private static partial Regex Word();
}
