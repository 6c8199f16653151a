using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Dpo.Samples;

/// <summary>
/// How favourable a review is: multinomial naive Bayes over words and pairs of neighbouring words, with add-one smoothing. The
/// reward of the IMDb sample, where the paper uses a pretrained sentiment classifier.
/// </summary>
/// <remarks>
/// <para>A word is a run of letters and digits, with apostrophes only inside it, in lower case; all else separates words and is
/// left aside, so that a pair may reach over the end of a sentence.</para>
/// <para>Words and pairs are the features of one multinomial: a feature's probability within a class is (its count + 1) / (the
/// class's count of all features + the number of distinct features). Features that training has not seen say nothing. Nothing is
/// pruned: the 25,000 reviews of IMDb have 1.5 million features, 60 MB.</para>
/// </remarks>
internal sealed partial class SentimentClassifier
{
    // Not an id, nor 0: no feature with it has been counted.
    private const int Unseen = -1;

    private readonly Dictionary<string, int> words;
    private readonly Dictionary<(int, int), double> weights;
    private readonly double prior;

    private SentimentClassifier(Dictionary<string, int> words, Dictionary<(int, int), double> weights, double prior)
    {
        this.words = words;
        this.weights = weights;
        this.prior = prior;
    }

    /// <summary>Counts the features of the reviews.</summary>
    /// <exception cref="InvalidInputException">There is no favourable, or no unfavourable, review.</exception>
    public static SentimentClassifier Train(IEnumerable<Review> reviews)
    {
        var words = new Dictionary<string, int>();
        var counts = new Dictionary<(int, int), (int Positive, int Negative)>();
        var (reviewsPositive, reviewsNegative, totalPositive, totalNegative) = (0L, 0L, 0L, 0L);
        foreach (var review in reviews)
        {
            if (review.Positive)
                reviewsPositive++;
            else
                reviewsNegative++;
            foreach (var feature in Features(
                review.Text, word => words.TryAdd(word, words.Count + 1) ? words.Count : words[word]))
            {
                ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, feature, out _);
                if (review.Positive)
                {
                    count.Positive++;
                    totalPositive++;
                }
                else
                {
                    count.Negative++;
                    totalNegative++;
                }
            }
        }
        if (reviewsPositive == 0 || reviewsNegative == 0)
            throw new InvalidInputException(
                $"A sentiment classifier needs reviews of both kinds; given are " +
                $"{reviewsPositive} favourable and {reviewsNegative} unfavourable ones.");
        var weights = new Dictionary<(int, int), double>(counts.Count);
        var sizes = Math.Log(totalNegative + counts.Count) - Math.Log(totalPositive + counts.Count);
        foreach (var (feature, count) in counts)
            weights[feature] = Math.Log(count.Positive + 1) - Math.Log(count.Negative + 1) + sizes;
        return new SentimentClassifier(words, weights, Math.Log(reviewsPositive) - Math.Log(reviewsNegative));
    }

    /// <summary>
    /// log P(favourable | text) − log P(unfavourable | text), in nats. It grows with the length of the text, as naive Bayes takes
    /// every feature for new evidence.
    /// </summary>
    public double LogOdds(string text)
    {
        var sum = prior;
        foreach (var feature in Features(text, word => words.TryGetValue(word, out var id) ? id : Unseen))
            sum += weights.GetValueOrDefault(feature);
        return sum;
    }

    /// <summary>P(favourable | text): the logistic function of <see cref="LogOdds"/>.</summary>
    public double Positive(string text) => 1 / (1 + Math.Exp(-LogOdds(text)));

    /// <summary>A pair is two ids, which begin at 1, and a word is its id and 0.</summary>
    private static IEnumerable<(int, int)> Features(string text, Func<string, int> id)
    {
        var previous = 0;
        foreach (Match match in Word().Matches(text))
        {
            var current = id(match.Value.ToLowerInvariant());
            yield return (current, 0);
            if (previous != 0)
                yield return (previous, current);
            previous = current;
        }
    }

    [GeneratedRegex(@"[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*")]
    private static partial Regex Word();
}
