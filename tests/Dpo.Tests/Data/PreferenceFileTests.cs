namespace Dpo.Tests;

public class PreferenceFileTests
{
    private const string Formats =
        "give rows with 'prompt', 'chosen' and 'rejected' (texts or lists of messages; where 'prompt' is missing, it is what both have in common), with " +
        "'prompt', 'completions' and 'ranking' or 'scores', or with 'prompt', 'completion' and 'label'; HH transcripts with 'chosen' and 'rejected'; or " +
        "summary comparisons with 'info', 'summaries' and 'choice' or with 'input_text', 'candidate_0', 'candidate_1' and 'choice'.";

    [Theory]
    [InlineData("""{"chosen": "c", "rejected": "r", "prompt": "p"}""", "p")]
    [InlineData("""{"chosen": "q\n\nAssistant: a", "rejected": "q\n\nAssistant: b"}""", "q\n\nAssistant:")]
    [InlineData("""{"info": {"post": "p", "title": "t", "subreddit": "s"}, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 1}""", "SUBREDDIT: r/s\nTITLE: t\nPOST: p\nTL;DR:")]
    [InlineData("""{"input_text": "i", "candidate_0": "a", "candidate_1": "b", "choice": 0}""", "i")]
    public void The_first_row_that_is_an_object_decides_the_format(string row, string prompt)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("train.jsonl", $"\n{{broken\n{row}\n");
        var report = new DataReport();
        Assert.Equal(prompt, Assert.Single(PreferenceFile.Read(path, report)).Prompt);
        Assert.Equal("read 2 rows; used 1; dropped 1: malformed JSON (train.jsonl:2)", report.ToString());

        var e = Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(path, report, BadRows.Refuse));
        Assert.Equal($"{path}:2: malformed JSON; correct the row, or let bad rows be skipped.", e.Message);
    }

    [Fact]
    public void Transcripts_of_one_prompt_become_one_example()
    {
        using var folder = new TemporaryFolder();
        string Row(string prompt, string chosen, string rejected) =>
            $$"""{"chosen": "{{prompt}}\n\nAssistant:{{chosen}}", "rejected": "{{prompt}}\n\nAssistant:{{rejected}}"}""";
        var path = folder.Write("hh.jsonl", string.Join('\n', Row("x", "a", "b"), Row("y", "a", "b"), Row("x", "c", "a"), Row("x", "a", "b")));
        var examples = PreferenceFile.Read(path, new DataReport()).ToList();
        Assert.Equal(["x\n\nAssistant:", "y\n\nAssistant:"], examples.Select(example => example.Prompt));
        Assert.Equal(["a", "b", "c"], examples[0].Completions);
        Assert.Equal([new(0, 1), new(2, 0), new(0, 1)], examples[0].Pairs);
        Assert.Equal(["hh.jsonl:1", "hh.jsonl:2"], examples.Select(example => example.Source));
    }

    [Fact]
    public void An_unknown_format_and_an_empty_file_list_the_known_ones()
    {
        using var folder = new TemporaryFolder();
        var unknown = folder.Write("unknown.jsonl", "\n{\"question\": 1}\n");
        Assert.Equal(
            $"{unknown}:2: the row has none of the fields of a known format; {Formats}",
            Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(unknown, new DataReport(), BadRows.Refuse)).Message);
        Assert.Equal(
            $"{unknown}: there is no row that can be read (read 1 rows; used 0; dropped 1: the row has none of the fields of a known format (unknown.jsonl:2)); {Formats}",
            Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(unknown, new DataReport())).Message);
        var empty = folder.Write("empty.jsonl", "\n \n");
        Assert.Equal(
            $"{empty}: there is no row that can be read; {Formats}",
            Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(empty, new DataReport())).Message);
    }

    [Fact]
    public void The_trajectories_rows_are_all_read()
    {
        var report = new DataReport();
        var examples = PreferenceFile.Read(Fixture.Path("trajectories", "train.jsonl"), report, BadRows.Refuse).ToList();
        Assert.Equal("read 48 rows; used 48", report.ToString());
        Assert.Equal("Tell me about the village doctor.", examples[1].Prompt);
        Assert.Equal(" the village doctor found an old map on Monday.", examples[1].Completions[0]);
    }
}
