namespace Dpo.Samples.Tests;

public class ReviewCorpusTests
{
    private static readonly List<Review> Training = [.. ReviewCorpus.Generate(2000, 1)];
    private static readonly List<Review> Unseen = [.. ReviewCorpus.Generate(2000, 2)];

    [Fact]
    public void The_first_review_of_a_seed_is_the_same_everywhere() =>
        Assert.Equal(
            new Review(
                "The film opens with a tired sailor in a garden. The acting was silly and boring all through the film. Still, I found the " +
                "photography mostly nice, though I have seen better.", false, "generated:1"),
            ReviewCorpus.Generate(1, 17).Single());

    [Fact]
    public void A_smaller_count_is_the_beginning_of_a_larger_one()
    {
        Assert.Equal(Training.Take(50), ReviewCorpus.Generate(50, 1));
        Assert.NotEqual(Training.Take(50), Unseen.Take(50));
        Assert.Equal("generated:2000", Training[^1].Source);
    }

    [Fact]
    public void A_review_has_two_to_four_sentences_of_25_to_45_words()
    {
        Assert.All(Training, review =>
        {
            Assert.InRange(Words.Of(review.Text).Length, 25, 45);
            Assert.InRange(review.Text.Count(c => c == '.'), 2, 4);
            Assert.EndsWith(".", review.Text);
            Assert.DoesNotContain("  ", review.Text);
        });
        Assert.InRange(Training.SelectMany(review => Words.Of(review.Text)).Distinct().Count(), 200, 500);
        Assert.InRange(Training.Count(review => review.Positive), 900, 1100);
        Assert.Equal(Training.Count, Training.DistinctBy(review => review.Text).Count());
    }

    [Fact]
    public void The_first_eight_words_say_nothing_about_the_sentiment()
    {
        var classifier = SentimentClassifier.Train(Training.Select(Prefix));
        Assert.InRange(SentimentClassifierTests.Accuracy(classifier, Unseen.Select(Prefix)), 0.44, 0.56);

        static Review Prefix(Review review) => review with { Text = string.Join(' ', Words.Of(review.Text).Take(8)) };
    }

    [Fact]
    public void The_sentiment_is_clear_and_graded()
    {
        var classifier = SentimentClassifier.Train(Training);
        Assert.InRange(SentimentClassifierTests.Accuracy(classifier, Unseen), 0.9, 1);
        var positive = Unseen.Where(review => review.Positive).Select(review => classifier.LogOdds(review.Text)).ToList();
        var negative = Unseen.Where(review => !review.Positive).Select(review => classifier.LogOdds(review.Text)).ToList();
        Assert.InRange(positive.Average(), 10, 100);
        Assert.InRange(negative.Average(), -100, -10);
        // A mild review and a glowing one are far apart: the reward can still grow once a review is favourable.
        positive.Sort();
        Assert.InRange(positive[positive.Count * 9 / 10] - positive[positive.Count / 10], 10, 100);
    }
}
