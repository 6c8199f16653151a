namespace Dpo.Tests;

public class DataDescriptionTests
{
    [Fact]
    public void Counts_lengths_and_what_is_repeated()
    {
        var report = new DataReport();
        report.CountRead(8);
        report.Drop("empty completion", "t:8");
        report.CountCut(12, 2);
        report.CountCut(0, 1);
        TrainingExample[] examples =
        [
            new([1], [[1, 2, 3], [4]], [new(0, 1)]),
            new([1], [[4], [1, 2, 3]], [new(1, 0)]),
            new([1], [[4], [1, 2, 3]], [new(0, 1)]),
            new([70000, 2], [[1], [2], [3, 3]], [new(0, 1), new(0, 2)]) { MismatchedCount = 0 },
            new([70000 & 0xFFFF, 2], [[5, 5, 5, 5], [9, 9, 9]], []) { Labels = [true], MismatchedCount = 1 },
        ];
        var description = DataDescription.Of(examples, report);
        Assert.Equal((5, 3, 10, 5), (description.Examples, description.Prompts, description.Completions, description.Pairs));
        Assert.Equal(new LengthSummary(1, 1, 1.4, 2, 2), description.PromptTokens);
        // 3, 3, 1, 1, 1 and the desirable 4.
        Assert.Equal(new LengthSummary(1, 1, 13 / 6.0, 4, 4), description.ChosenTokens);
        Assert.Equal(new LengthSummary(1, 1, 8 / 5.0, 3, 3), description.RejectedTokens);
        Assert.Equal(0.4, description.ChosenLonger);
        Assert.Equal(1, description.Duplicates);
        Assert.Equal(3, description.ContradictoryPairs);
        Assert.Equal(
            """
            read 8 rows; used 7; dropped 1: empty completion (t:8)
            5 examples of 3 prompts: 10 completions, 5 pairs
            tokens         min  median    mean     p95     max
            prompt           1       1     1.4       2       2
            chosen           1       1     2.2       4       4
            rejected         1       1     1.6       3       3
            chosen is longer in 40.0 % of pairs
            truncated 2 rows by 12 tokens
            1 duplicate examples, 3 contradictory pairs
            """.ReplaceLineEndings("\n"),
            description.ToString());
    }

    [Fact]
    public void Quantiles_are_the_smallest_lengths_that_the_share_does_not_exceed()
    {
        var examples = Enumerable.Range(1, 100).Select(length => new TrainingExample(new int[length], [new int[] { 1 }], []));
        Assert.Equal(new LengthSummary(1, 50, 50.5, 95, 100), DataDescription.Of(examples).PromptTokens);
        Assert.Equal(default, DataDescription.Of([]).PromptTokens);
    }

    [Fact]
    public void What_the_tokenizer_cut_is_counted_and_what_is_too_long_is_dropped_on_request()
    {
        var tokenizer = TextTokenizer.Load(Fixture.Path("tokenizer"));
        var (prompt, completion) = (tokenizer.Encode("Tell me about the village doctor.").Count, tokenizer.Encode(" He found a map.", continues: true).Count + 1);
        var example = new PreferenceExample("Tell me about the village doctor.", " He found a map.", " It found a map.");

        var report = new DataReport();
        var kept = new ExampleTokenizer(tokenizer, prompt + completion - 2, truncation: Truncation.KeepStart).Tokenize(example, report)!;
        Assert.Equal((1, 4L), (report.Truncated, report.TokensCut));
        Assert.Equal(completion - 2, kept.Completions[1].Count);

        Assert.Null(new ExampleTokenizer(tokenizer, prompt + completion - 1, truncation: Truncation.Drop).Tokenize(example, report));
        Assert.Null(new ExampleTokenizer(tokenizer, prompt, truncation: Truncation.Drop).Tokenize(example, report));
        Assert.Equal(["completion too long", "prompt too long"], report.DroppedByReason.Keys);
        kept = new ExampleTokenizer(tokenizer, prompt + completion, truncation: Truncation.Drop).Tokenize(example, report)!;
        Assert.Equal((prompt, completion), (kept.Prompt.Count, kept.Completions[0].Count));
        Assert.Equal(1, report.Truncated);
    }

    [Fact]
    public void A_pair_without_a_difference_contradicts_nothing() =>
        Assert.Equal(0, DataDescription.Of([new TrainingExample([1], [[2, 3], [2, 3]], [new(0, 1)])]).ContradictoryPairs);
}
