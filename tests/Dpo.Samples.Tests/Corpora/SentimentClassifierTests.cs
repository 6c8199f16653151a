using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class SentimentClassifierTests
{
    private static readonly SentimentClassifier Tiny = SentimentClassifier.Train(
    [
        new Review("Good film, GOOD!", true, "a"),
        new Review("Don't.", true, "b"),
        new Review("bad film", false, "c"),
    ]);

    // Features: good ×2, film, "good film", "film good", don't | bad, film, "bad film": 6 favourable, 3 unfavourable, 7 distinct.
    // A feature's odds are (count + 1) / (6 + 7) to (count + 1) / (3 + 7); the classes' are 2 to 1.
    [Theory]
    [InlineData("", 2.0)]
    [InlineData("good", 2.0 * (3.0 / 13) / (1.0 / 10))]
    [InlineData("Film?", 2.0 * (2.0 / 13) / (2.0 / 10))]
    [InlineData("good... film", 2.0 * (3.0 / 1) * (2.0 / 2) * (2.0 / 1) * (10.0 * 10 * 10) / (13.0 * 13 * 13))]
    [InlineData("BAD", 2.0 * (1.0 / 13) / (2.0 / 10))]
    [InlineData("'don't'", 2.0 * (2.0 / 13) / (1.0 / 10))]
    [InlineData("don t", 2.0)]
    [InlineData("some good", 2.0 * (3.0 / 13) / (1.0 / 10))]
    [InlineData("good ones", 2.0 * (3.0 / 13) / (1.0 / 10))]
    [InlineData("nothing known", 2.0)]
    public void The_odds_are_those_of_naive_Bayes_with_add_one_smoothing(string text, double odds)
    {
        Assert.Equal(Math.Log(odds), Tiny.LogOdds(text), 1e-12);
        Assert.Equal(odds / (1 + odds), Tiny.Positive(text), 1e-12);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(3, true)]
    [InlineData(2, false)]
    public void Both_kinds_of_reviews_are_needed(int count, bool positive)
    {
        var reviews = Enumerable.Repeat(new Review("a film", positive, "a"), count);
        var e = Assert.Throws<InvalidInputException>(() => SentimentClassifier.Train(reviews));
        Assert.Equal(
            $"A sentiment classifier needs reviews of both kinds; given are {(positive ? count : 0)} favourable and " +
            $"{(positive ? 0 : count)} unfavourable ones.", e.Message);
    }

    [SharedFact("data/imdb/imdb_train.jsonl.gz")]
    public void It_tells_real_reviews_apart()
    {
        var path = Fixture.Shared("data", "imdb", "imdb_train.jsonl.gz")!;
        var reviews = ReviewFile.Read(path, new DataReport()).ToList();
        Assert.Equal(25000, reviews.Count);
        var classifier = SentimentClassifier.Train(reviews.Where((_, row) => row % 2 == 1));
        Assert.InRange(Accuracy(classifier, reviews.Where((_, row) => row % 2 == 0)), 0.85, 0.95);
    }

    internal static double Accuracy(SentimentClassifier classifier, IEnumerable<Review> reviews) =>
        reviews.Average(review => classifier.LogOdds(review.Text) > 0 == review.Positive ? 1.0 : 0.0);
}
