using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class DialogueCorpusTests
{
    private static readonly List<PreferenceExample> Examples = [.. DialogueCorpus.Generate(2000, 1)];

    [Fact]
    public void The_first_example_of_a_seed_is_the_same_everywhere()
    {
        var example = DialogueCorpus.Generate(1, 17).Single();
        Assert.Equal(
            [
                "\n\nHuman: How do I grow tomatoes?\n\nAssistant: Give the plants a warm place in the sun.\n\nHuman: Thank you. Can you tell me " +
                "how to learn French?\n\nAssistant:",
                " Learn ten new words every day. Find somebody to speak French with.",
                " I am not sure. Maybe somebody else knows.",
                "generated:1",
            ],
            [example.Prompt, .. example.Completions, example.Source!]);
    }

    [Fact]
    public void A_smaller_count_is_the_beginning_of_a_larger_one()
    {
        Assert.Equal(Examples.Take(50).Select(Example.Text), DialogueCorpus.Generate(50, 1).Select(Example.Text));
        Assert.NotEqual(Examples.Take(50).Select(Example.Text), DialogueCorpus.Generate(50, 2).Select(Example.Text));
        Assert.Equal("generated:2000", Examples[^1].Source);
    }

    [Fact]
    public void Written_as_transcripts_the_examples_are_read_back()
    {
        using var folder = new TemporaryFolder();
        var rows = Examples.Select(example => JsonSerializer.Serialize(
            new { chosen = example.Prompt + example.Completions[0], rejected = example.Prompt + example.Completions[1] }));
        var report = new DataReport();
        var read = HelpfulHarmlessTranscripts.Read(folder.Write("train.jsonl", string.Join('\n', rows)), report).ToList();
        Assert.Equal("read 2,000 rows; used 2,000", report.ToString());
        Assert.Equal(Examples.Select(Example.Text), read.Select(Example.Text));
    }

    [Fact]
    public void Prompts_end_where_the_assistant_answers_and_answers_begin_with_a_space()
    {
        Assert.All(Examples, example =>
        {
            Assert.StartsWith("\n\nHuman: ", example.Prompt);
            Assert.EndsWith("\n\nAssistant:", example.Prompt);
            Assert.InRange(example.Prompt.Split("\n\nHuman: ").Length - 1, 1, 2);
            Assert.NotEqual(example.Completions[0], example.Completions[1]);
            Assert.All(example.Completions, answer => Assert.Matches(@"^ [A-Z][^{}\n]+[.?]$", answer));
        });
        Assert.Contains(Examples, example => example.Prompt.Contains("Thank you."));
    }

    [Fact]
    public void Hardly_an_example_comes_twice() =>
        Assert.InRange(Examples.Select(Example.Text).Distinct().Count(), 1950, 2000);

    [Fact]
    public void Chosen_answers_can_be_told_from_rejected_ones()
    {
        // Without the question, good advice on something else (three rejected answers in ten) looks helpful: 50 % + 35 % at best.
        var classifier = SentimentClassifier.Train(Example.Labelled(Examples));
        Assert.InRange(SentimentClassifierTests.Accuracy(classifier, Example.Labelled([.. DialogueCorpus.Generate(2000, 2)])), 0.8, 0.9);
    }
}
