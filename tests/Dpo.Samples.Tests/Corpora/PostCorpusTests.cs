using System.Text.Json;
using System.Text.RegularExpressions;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public partial class PostCorpusTests
{
    private static readonly List<PreferenceExample> Examples = [.. PostCorpus.Generate(2000, 1)];

    [Fact]
    public void The_first_example_of_a_seed_is_the_same_everywhere()
    {
        var example = PostCorpus.Generate(1, 17).Single();
        Assert.Equal(
            [
                "SUBREDDIT: r/advice\nTITLE: I cannot stand the late parties any more\nPOST: I am sorry that this is long. Last week my uncle " +
                "moved in with me, and the late parties began. I asked him twice to stop, and he only laughed. I feel bad about all of it. " +
                "Should I move out?\nTL;DR:",
                " I am tired of the late parties of my uncle, who only laughs; should I move out?",
                " I am tired of the late parties of my aunt, who only laughs; should I move out?",
                "generated:1",
            ],
            [example.Prompt, .. example.Completions, example.Source!]);
    }

    [Fact]
    public void A_smaller_count_is_the_beginning_of_a_larger_one()
    {
        Assert.Equal(Examples.Take(50).Select(Example.Text), PostCorpus.Generate(50, 1).Select(Example.Text));
        Assert.NotEqual(Examples.Take(50).Select(Example.Text), PostCorpus.Generate(50, 2).Select(Example.Text));
        Assert.Equal("generated:2000", Examples[^1].Source);
    }

    [Fact]
    public void Written_as_comparisons_the_examples_are_read_back()
    {
        using var folder = new TemporaryFolder();
        var rows = Examples.Select(example =>
        {
            var parts = Prompt().Match(example.Prompt).Groups;
            var info = new { subreddit = parts[1].Value, title = parts[2].Value, post = parts[3].Value };
            return JsonSerializer.Serialize(new { info, summaries = example.Completions.Select(text => new { text }), choice = 0 });
        });
        var report = new DataReport();
        var read = SummaryComparisons.Read(folder.Write("train.jsonl", string.Join('\n', rows)), report).ToList();
        Assert.Equal("read 2,000 rows; used 2,000", report.ToString());
        Assert.Equal(Examples.Select(Example.Text), read.Select(Example.Text));
    }

    [Fact]
    public void Posts_have_three_to_five_sentences_and_summaries_one()
    {
        Assert.All(Examples, example =>
        {
            Assert.InRange(Prompt().Match(example.Prompt).Groups[3].Value.Count(c => c is '.' or '?'), 3, 5);
            Assert.NotEqual(example.Completions[0], example.Completions[1]);
            Assert.All(example.Completions, summary => Assert.Matches(@"^ [A-Z][^{}\n.?]+[.?]$", summary));
            Assert.DoesNotMatch("[{}]", example.Prompt);
        });
    }

    [Fact]
    public void Chosen_summaries_name_who_it_was_and_what_is_asked()
    {
        Assert.All(Examples, example =>
        {
            var (prompt, chosen, _) = Example.Text(example);
            Assert.Contains(Regex.Match(chosen, @"my \w+", RegexOptions.IgnoreCase).Value, prompt, StringComparison.OrdinalIgnoreCase);
            Assert.Contains(Regex.Match(chosen, @"; (.+)\?$").Groups[1].Value, prompt, StringComparison.OrdinalIgnoreCase);
        });
    }

    [Fact]
    public void Hardly_an_example_comes_twice() =>
        Assert.InRange(Examples.Select(Example.Text).Distinct().Count(), 1980, 2000);

    [Fact]
    public void A_summary_cannot_be_judged_without_its_post()
    {
        // Only the vague summaries, a fifth of the rejected ones, are bad in themselves: 50 % + 10 % at best.
        var classifier = SentimentClassifier.Train(Example.Labelled(Examples));
        Assert.InRange(SentimentClassifierTests.Accuracy(classifier, Example.Labelled([.. PostCorpus.Generate(2000, 2)])), 0.5, 0.65);
    }

    [GeneratedRegex(@"^SUBREDDIT: r/(\w+)\nTITLE: (.+)\nPOST: (.+)\nTL;DR:$")]
    private static partial Regex Prompt();
}
