namespace Dpo.Tests;

public class SummaryComparisonsTests
{
    [Fact]
    public void Both_formats_are_read_and_rows_that_compare_nothing_are_counted()
    {
        using var folder = new TemporaryFolder();
        const string info = """ "info": {"post": "Long.\n\nPost", "title": "A title", "subreddit": "tifu"} """;
        var path = folder.Write("tldr.jsonl", string.Join('\n',
            $$"""{ {{info}}, "summaries": [{"text": "first"}, {"text": "  second "}], "choice": 1}""",
            $$"""{"input_text": "Post [summary]: ", "candidate_0": " a", "candidate_1": "b", "choice": 0}""",
            $$"""{ {{info}}, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 2}""",
            $$"""{ {{info}}, "summaries": [{"text": "a"}, {"text": "b"}]}""",
            $$"""{ {{info}}, "summaries": [{"text": "a"}], "choice": 0}""",
            $$"""{ {{info}}, "summaries": [{"text": "a"}, {"text": " a"}], "choice": 0}""",
            $$"""{ {{info}}, "summaries": [{"text": "a"}, {"text": ""}], "choice": 0}""",
            """{"info": {"article": "News"}, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 0}""",
            """{"info": "text", "summaries": [{"text": "a"}, {"text": "b"}], "choice": 0}""",
            """{"summaries": [{"text": "a"}, {"text": "b"}], "choice": 0}""",
            $$"""{ {{info}}, "summary": {"text": "a", "axes": {"overall": 3} } }"""));
        var report = new DataReport();
        var examples = SummaryComparisons.Read(path, report).ToList();

        Assert.Equal("SUBREDDIT: r/tifu\nTITLE: A title\nPOST: Long.\n\nPost\nTL;DR:", examples[0].Prompt);
        Assert.Equal([" second ", " first"], examples[0].Completions);
        Assert.Equal("Post [summary]: ", examples[1].Prompt);
        Assert.Equal([" a", "b"], examples[1].Completions);
        Assert.Equal("tldr.jsonl:2", examples[1].Source);
        Assert.Equal(
            "read 11 rows; used 2; dropped 2: 'choice' is neither 0 nor 1 (tldr.jsonl:3, tldr.jsonl:4); dropped 1: 'summaries' does not hold " +
            "two summaries (tldr.jsonl:5); dropped 1: empty completion (tldr.jsonl:7); dropped 1: identical completions (tldr.jsonl:6); " +
            "dropped 1: no comparison: no field 'summaries' (tldr.jsonl:11); dropped 1: no field 'info' (tldr.jsonl:10); " +
            "dropped 2: no field 'subreddit' (tldr.jsonl:8, tldr.jsonl:9)",
            report.ToString());
    }

    [SharedFact("data/tldr")]
    public void The_real_samples_are_read()
    {
        var folder = Fixture.Shared("data", "tldr")!;
        var report = new DataReport();
        var original = Assert.Single(SummaryComparisons.Read(Path.Combine(folder, "openai_readme_examples.jsonl"), report));
        Assert.StartsWith(
            "SUBREDDIT: r/legaladvice\nTITLE: Anybody with knowledge of the Dutch law around ? car accident questions.\nPOST: I had a car accident",
            original.Prompt, StringComparison.Ordinal);
        Assert.EndsWith("would be appeciated on this :)\nTL;DR:", original.Prompt, StringComparison.Ordinal);
        Assert.StartsWith(" we suspect other party involved of speeding", original.Completions[0], StringComparison.Ordinal);
        Assert.StartsWith(" car accident caused me", original.Completions[1], StringComparison.Ordinal);
        Assert.Equal(
            "read 2 rows; used 1; dropped 1: no comparison: no field 'summaries' (openai_readme_examples.jsonl:2)", report.ToString());

        var flat = PreferenceFile.Read(Path.Combine(folder, "dlai_sample_preference.jsonl"), report).ToList();
        Assert.Equal(5, flat.Count);
        Assert.All(flat, example => Assert.EndsWith(" [summary]: ", example.Prompt, StringComparison.Ordinal));
        Assert.Equal(" When applying to many jobs through a single university jobs portal, is just one HR person reading ALL my applications?", flat[0].Completions[0]);
        Assert.EndsWith("all knowledge of modern technology.", flat[3].Completions[1], StringComparison.Ordinal);
    }
}
