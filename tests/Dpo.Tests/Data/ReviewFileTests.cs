namespace Dpo.Tests;

public class ReviewFileTests
{
    [Fact]
    public void Lines_are_read_and_other_labels_counted()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("reviews.jsonl", string.Join('\n',
            """{"text": "Fine.<br /><br />Really.", "label": "pos", "rating": 9}""",
            """{"text": "Poor.", "label": "neg"}""",
            """{"text": "So so.", "label": "unsup"}""",
            """{"text": " ", "label": "pos"}""",
            """{"label": "pos"}"""));
        var report = new DataReport();
        var reviews = ReviewFile.Read(path, report).ToList();
        Assert.Equal([new("Fine.\n\nReally.", true, "reviews.jsonl:1"), new("Poor.", false, "reviews.jsonl:2")], reviews);
        Assert.Equal(
            "read 5 rows; used 2; dropped 1: 'label' is neither \"pos\" (or 1) nor \"neg\" (or 0) (reviews.jsonl:3); dropped 1: empty review " +
            "(reviews.jsonl:4); dropped 1: no field 'text' (reviews.jsonl:5)",
            report.ToString());
    }

    [Theory]
    [InlineData("train/", "")]
    [InlineData("train/", "train")]
    [InlineData("", "")]
    public void The_original_folder_is_read_in_a_fixed_order(string at, string given)
    {
        using var folder = new TemporaryFolder();
        folder.Write(at + "pos/2_9.txt", "Good<br />film");
        folder.Write(at + "pos/10_8.txt", "Great film");
        folder.Write(at + "neg/0_1.txt", "Bad film");
        folder.Write(at + "neg/1_1.txt", "\n");
        File.WriteAllBytes(Path.Combine(folder.Path, at, "neg", "2_2.txt"), [0x62, 0xFF]);
        folder.Write(at + "pos/urls.list", "no review");
        var report = new DataReport();
        var path = Path.Combine(folder.Path, given);
        Assert.Equal(
            [new("Bad film", false, "neg/0_1.txt"), new("Great film", true, "pos/10_8.txt"), new("Good\nfilm", true, "pos/2_9.txt")],
            ReviewFile.Read(path, report));
        Assert.Equal(
            "read 5 rows; used 3; dropped 1: empty review (neg/1_1.txt); dropped 1: invalid UTF-8 (neg/2_2.txt)", report.ToString());
        var e = Assert.Throws<InvalidInputException>(() => ReviewFile.Read(path, report, BadRows.Refuse).ToList());
        Assert.Equal(
            $"{Path.Combine(folder.Path, at + "neg", "1_1.txt")}: empty review; correct the row, or let bad rows be skipped.", e.Message);
    }

    [Fact]
    public void A_folder_of_something_else_is_refused()
    {
        using var folder = new TemporaryFolder();
        var e = Assert.Throws<InvalidInputException>(() => ReviewFile.Read(folder.Path, new DataReport()).ToList());
        Assert.Equal($"{folder.Path}: there is no folder neg; give the aclImdb folder, or one with the folders neg and pos.", e.Message);
    }

    [SharedFact("data/imdb/imdb_train.jsonl.gz")]
    public void The_real_training_split_is_read()
    {
        var path = Fixture.Shared("data", "imdb", "imdb_train.jsonl.gz")!;
        var report = new DataReport();
        var positive = 0;
        foreach (var review in ReviewFile.Read(path, report, BadRows.Refuse))
        {
            positive += review.Positive ? 1 : 0;
            Assert.DoesNotContain("<br", review.Text, StringComparison.Ordinal);
        }
        Assert.Equal("read 25,000 rows; used 25,000", report.ToString());
        Assert.Equal(12_500, positive);
    }
}
