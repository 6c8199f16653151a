using Dpo.Parquet;

namespace Dpo.Samples;

/// <summary>Reviews, the prefixes cut from their beginnings, and what followed.</summary>
internal static class Reviews
{
    /// <summary>Tokens of the shortest and the longest prefix, as in the paper.</summary>
    public const int ShortestPrefix = 2, LongestPrefix = 8;

    /// <summary>The reviews of the file or folder that was named, or a generated corpus.</summary>
    public static IReadOnlyList<Review> Read(ImdbSettings settings)
    {
        if (settings.Data is null)
            return [.. ReviewCorpus.Generate(4000, settings.Seed)];
        var report = new DataReport();
        var isParquet = settings.Data.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase);
        var reviews = (isParquet
            ? ReviewParquet.Read(settings.Data, report, columns: settings.Columns)
            : ReviewFile.Read(settings.Data, report, columns: settings.Columns)).ToArray();
        Terminal.Line($"The reviews: {report}.");
        // The original lies sorted by label.
        new SeededRandom(settings.Seed).Shuffle(reviews);
        return reviews;
    }

    /// <summary>What supervised fine-tuning learns: how a review goes on after a prefix of it.</summary>
    public static IEnumerable<TokenizedExample> Continuations(
        IEnumerable<Review> reviews, TextTokenizer tokenizer, ImdbSettings settings)
    {
        var random = new SeededRandom(settings.Seed);
        foreach (var review in reviews)
        {
            if (Split(review, tokenizer, random) is not var (prefix, rest))
                continue;
            yield return new TokenizedExample(
                prefix, [[.. rest.Append(tokenizer.EndOfTextId).Take(settings.MaxNewTokens)]], [])
            { Source = review.Source };
        }
    }

    /// <summary>The prefixes of reviews, of 2 to 8 tokens; where there are fewer reviews than asked for, they are used again, cut
    /// anew.</summary>
    public static IReadOnlyList<IReadOnlyList<int>> Prefixes(
        IReadOnlyList<Review> reviews, TextTokenizer tokenizer, int count, int seed)
    {
        // Not the generator that cut the continuations, so that the cuts differ from theirs.
        var random = new SeededRandom(~seed);
        var prefixes = Enumerable.Range(0, int.MaxValue)
            .Select(index => Split(reviews[index % reviews.Count], tokenizer, random)?.Prefix).OfType<IReadOnlyList<int>>();
        return [.. prefixes.Take(count)];
    }

    private static (IReadOnlyList<int> Prefix, IReadOnlyList<int> Continuation)? Split(
        Review review, TextTokenizer tokenizer, SeededRandom random)
    {
        var ids = tokenizer.EncodePrompt(review.Text);
        var beginning = tokenizer.BeginningIds.Count;
        var length = beginning + random.Next(ShortestPrefix, LongestPrefix + 1);
        return ids.Count > beginning + LongestPrefix ? ([.. ids.Take(length)], [.. ids.Skip(length)]) : null;
    }
}
