namespace Dpo.Evaluation.Measuring;

/// <summary>How many words two texts differ in: Levenshtein's distance (1966), looked for only as far as it matters.</summary>
internal static class WordDistance
{
    /// <summary>1 − distance / words of the longer text, words being what white space parts, whatever their case; null below a
    /// least similarity.</summary>
    public static double? Similarity(string one, string other, double least)
    {
        var (longer, shorter) = (Words(one), Words(other));
        if (longer.Length < shorter.Length)
            (longer, shorter) = (shorter, longer);
        if (longer.Length == 0)
            return 1;
        // Rounding may not take away what is exactly at the limit.
        var limit = (int)Math.Floor(((1 - least) * longer.Length) + 1e-9);
        return Distance(longer, shorter, limit) is { } distance ? 1 - ((double)distance / longer.Length) : null;
    }

    private static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The distance up to a limit; null beyond. Ways that leave the diagonal by more than the limit are too
    /// long.</summary>
    private static int? Distance(string[] longer, string[] shorter, int limit)
    {
        if (longer.Length - shorter.Length > limit)
            return null;
        var (above, row) = (new int[shorter.Length + 1], new int[shorter.Length + 1]);
        for (var column = 0; column <= shorter.Length; column++)
            above[column] = column;
        for (var i = 1; i <= longer.Length; i++)
        {
            var (first, last) = (Math.Max(1, i - limit), Math.Min(shorter.Length, i + limit));
            row[first - 1] = first == 1 ? i : limit + 1;
            var least = row[first - 1];
            for (var j = first; j <= last; j++)
            {
                var isSame = string.Equals(longer[i - 1], shorter[j - 1], StringComparison.OrdinalIgnoreCase);
                var straight = above[j - 1] + (isSame ? 0 : 1);
                // At the edge of the band nothing lies above.
                var down = j == i + limit ? limit + 1 : above[j] + 1;
                row[j] = Math.Min(Math.Min(straight, down), row[j - 1] + 1);
                least = Math.Min(least, row[j]);
            }
            if (least > limit)
                return null;
            (above, row) = (row, above);
        }
        return above[shorter.Length] <= limit ? above[shorter.Length] : null;
    }
}
