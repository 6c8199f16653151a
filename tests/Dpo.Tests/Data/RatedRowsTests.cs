namespace Dpo.Tests;

/// <summary>Rows that say more of completions than which of two was preferred.</summary>
public class RatedRowsTests
{
    private static PreferenceExample Read(string row)
    {
        using var folder = new TemporaryFolder();
        return PreferenceFile.Read(folder.Write("train.jsonl", row + "\n"), new DataReport(), BadRows.Refuse).Single();
    }

    [Fact]
    public void Scored_pairs_keep_their_scores()
    {
        var example = Read("""{"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 8.5, "score_rejected": -2}""");
        Assert.Equal(["a", "b"], example.Completions);
        Assert.Equal([8.5f, -2f], example.Scores);
        Assert.Equal([new(0, 1)], example.Pairs);
        Assert.Null(example.Ranking);
    }

    [Fact]
    public void A_ranking_gives_every_pair()
    {
        var example = Read("""{"prompt": "p", "completions": ["a", "b", "c"], "ranking": [2, 0, 1]}""");
        Assert.Equal([2, 0, 1], example.Ranking);
        Assert.Equal([new(0, 1), new(2, 0), new(2, 1)], example.Pairs);
        Assert.Null(example.Scores);
        Assert.Equal(1, example.RowCount);
    }

    [Fact]
    public void Scores_give_a_ranking_unless_there_are_ties()
    {
        var example = Read("""{"prompt": "p", "completions": ["a", "b", "c"], "scores": [1, 3, 2]}""");
        Assert.Equal([1, 2, 0], example.Ranking);
        Assert.Equal([1f, 3f, 2f], example.Scores);
        Assert.Equal([new(1, 0), new(1, 2), new(2, 0)], example.Pairs);
        var tied = Read("""{"prompt": "p", "completions": ["a", "b", "c"], "scores": [1, 3, 1]}""");
        Assert.Null(tied.Ranking);
        Assert.Equal([new(1, 0), new(1, 2)], tied.Pairs);
    }

    [Fact]
    public void Unpaired_completions_keep_their_label_through_tokenization()
    {
        var example = Read("""{"prompt": "p", "completion": "a", "label": false}""");
        Assert.Equal(["a"], example.Completions);
        Assert.Empty(example.Pairs);
        Assert.Equal([false], example.Labels);
        var tokenizer = new ExampleTokenizer(TextTokenizer.Load(Fixture.Path("tokenizer")));
        var ranked = example with { Completions = ["a", "b"], Labels = [false, true], Scores = [1, 2], Ranking = [1, 0] };
        var tokenized = tokenizer.Tokenize(ranked, new DataReport())!;
        Assert.Equal([false, true], tokenized.Labels);
        Assert.Equal([1f, 2f], tokenized.Scores);
        Assert.Equal([1, 0], tokenized.Ranking);
    }

    [Theory]
    [InlineData("""{"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 1}""", "no field 'score_rejected'")]
    [InlineData("""{"prompt": "p", "chosen": "a", "rejected": "b", "score_rejected": 1}""", "no field 'score_chosen'")]
    [InlineData("""{"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": "1", "score_rejected": 1}""", "'score_chosen' holds what is no number")]
    [InlineData("""{"prompt": "p", "completion": "a"}""", "no field 'label'")]
    [InlineData("""{"prompt": "p", "completion": "a", "label": 2}""", "'label' is neither true nor false, and neither 1 nor 0")]
    [InlineData("""{"prompt": "p", "completion": "a", "label": "yes"}""", "'label' is neither true nor false, and neither 1 nor 0")]
    [InlineData("""{"prompt": "p", "completion": "a", "label": null}""", "no field 'label'")]
    [InlineData("""{"prompt": "p", "completion": "a", "label": [true]}""", "'label' is neither true nor false, and neither 1 nor 0")]
    [InlineData("""{"prompt": "p", "completion": " ", "label": true}""", "empty completion")]
    [InlineData("""{"prompt": "p", "completions": ["a"], "ranking": [0]}""", "'completions' is no list of two or more")]
    [InlineData("""{"prompt": "p", "completions": ["a", 1], "ranking": [0, 1]}""", "a completion is not a text")]
    [InlineData("""{"prompt": "p", "completions": ["a", "a"], "ranking": [0, 1]}""", "identical completions")]
    [InlineData("""{"prompt": "p", "completions": ["a", ""], "ranking": [0, 1]}""", "empty completion")]
    [InlineData("""{"prompt": "p", "completions": ["a", "b"]}""", "neither a field 'ranking' nor 'scores'")]
    [InlineData("""{"prompt": "p", "completions": ["a", "b"], "ranking": [0]}""", "'ranking' does not hold a number for every completion")]
    [InlineData("""{"prompt": "p", "completions": ["a", "b"], "ranking": [1, 2]}""", "'ranking' does not hold the index of every completion once")]
    [InlineData("""{"prompt": "p", "completions": ["a", "b"], "ranking": [0.5, 1]}""", "'ranking' does not hold the index of every completion once")]
    [InlineData("""{"prompt": "p", "completions": ["a", "b"], "scores": [1, 1]}""", "all completions have one score")]
    [InlineData("""{"prompt": "p", "completions": ["a", "b"], "scores": [1, 1e999]}""", "'scores' holds what is no number")]
    public void Bad_rows_are_named_by_their_reason(string row, string reason)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("train.jsonl", row + "\n");
        var report = new DataReport();
        Assert.Empty(PreferenceFile.Read(path, report));
        Assert.Equal($"read 1 rows; used 0; dropped 1: {reason} (train.jsonl:1)", report.ToString());
    }

    [Fact]
    public void Grouping_by_prompt_leaves_rated_examples_alone()
    {
        PreferenceExample[] examples =
        [
            new("p", "a", "b"),
            new("p", ["a"], []) { Labels = [true] },
            new("p", "a", "c"),
            new("p", "a", "d") { Scores = [1, 0] },
        ];
        var grouped = examples.GroupByPrompt().ToList();
        Assert.Equal(3, grouped.Count);
        Assert.Equal(["a", "b", "c"], grouped[0].Completions);
        Assert.Same(examples[1], grouped[1]);
        Assert.Same(examples[3], grouped[2]);
    }
}
