using System.Text.Json;

namespace Dpo.Tests;

public class ExampleTokenizerTests
{
    private static readonly TextTokenizer Small = TextTokenizer.Load(Fixture.Path("tokenizer"));

    [Fact]
    public void The_papers_truncation_gives_the_reference_codes_ids()
    {
        var cases = JsonDocument.Parse(File.ReadAllText(Fixture.Path("losses.json"))).RootElement
            .GetProperty("reference_repo").GetProperty("tokenize_batch_element");
        foreach (var @case in cases.EnumerateArray())
        {
            var truncation = @case.GetProperty("truncation_mode").GetString() == "keep_end"
                ? Truncation.PaperKeepPromptEnd
                : Truncation.PaperKeepPromptStart;
            var tokenizer = new ExampleTokenizer(
                Small, @case.GetProperty("max_length").GetInt32(), @case.GetProperty("max_prompt_length").GetInt32(), truncation);
            string Text(string name) => @case.GetProperty(name).GetString()!;
            var report = new DataReport();
            var example = tokenizer.Tokenize(new PreferenceExample(Text("prompt"), Text("chosen"), Text("rejected")), report)!;

            Assert.Equal(Ids(@case, "prompt_input_ids"), example.Prompt);
            foreach (var (index, name) in new[] { "chosen", "rejected" }.Index())
            {
                Assert.Equal(Ids(@case, name + "_input_ids"), example.Prompt.Concat(example.Completions[index]));
                Assert.Equal(Ids(@case, name + "_labels").Where(id => id != -100), example.Completions[index]);
            }
            Assert.Equal([new PreferencePair(0, 1)], example.Pairs);
            Assert.Equal(0, report.Dropped);
        }
        Assert.Equal(22, cases.GetArrayLength());
    }

    [Fact]
    public void Every_row_of_the_trajectories_has_the_ids_that_trl_saw()
    {
        var rows = JsonDocument.Parse(File.ReadAllText(Fixture.Path("trajectories", "ids.json"))).RootElement.GetProperty("rows");
        var tokenizer = new ExampleTokenizer(Small);
        foreach (var (row, expected) in Rows().Zip(rows.EnumerateArray()))
        {
            var example = tokenizer.Tokenize(row, new DataReport())!;
            Assert.Equal(Ids(expected, "prompt_ids"), example.Prompt);
            Assert.Equal(Ids(expected, "chosen_ids"), example.Completions[0]);
            Assert.Equal(Ids(expected, "rejected_ids"), example.Completions[1]);
        }
        Assert.Equal(48, rows.GetArrayLength());
    }

    [Fact]
    public void Keep_start_uses_the_rows_that_trl_used_and_keeps_the_first_ids()
    {
        var run = JsonDocument.Parse(File.ReadAllText(Fixture.Path("trajectories", "gpt2_linear_truncated", "config.json"))).RootElement;
        var rows = JsonDocument.Parse(File.ReadAllText(Fixture.Path("trajectories", "ids.json"))).RootElement.GetProperty("rows");
        var tokenizer = new ExampleTokenizer(Small, maxLength: 40, truncation: Truncation.KeepStart);
        var report = new DataReport();
        var kept = new List<int>();
        var cut = 0;
        foreach (var (index, row) in Rows().Index())
        {
            report.CountRead();
            if (tokenizer.Tokenize(row, report) is not { } example)
                continue;
            kept.Add(index);
            cut += example.Completions.Any(completion => completion[^1] != Small.EndOfTextId) ? 1 : 0;
            foreach (var (completion, name) in example.Completions.Zip(["chosen_ids", "rejected_ids"]))
            {
                Assert.Equal(
                    Ids(rows[index], "prompt_ids").Concat(Ids(rows[index], name)).Take(40), example.Prompt.Concat(completion));
            }
        }
        Assert.Equal(Ids(run, "rows_used"), kept);
        Assert.Equal(run.GetProperty("rows_truncated").GetInt32(), cut);
        Assert.Equal(kept.Count, report.Used);
        Assert.Equal(48 - kept.Count, report.DroppedByReason.GetValueOrDefault("prompt too long"));
    }

    [Theory]
    // Nine letters are nine tokens here; the completion "xyz" and its end are four.
    [InlineData(13, "qqqqqqqqq", "xyz<end>")]
    [InlineData(12, "qqqqqqqqq", "xyz")]
    [InlineData(10, "qqqqqqqqq", "x")]
    [InlineData(9, null, null)]
    public void Keep_start_by_hand(int maxLength, string? prompt, string? completion)
    {
        var report = new DataReport();
        report.CountRead();
        var source = new PreferenceExample("qqqqqqqqq", "xyz", "z") { Source = "made.jsonl:7" };
        var example = new ExampleTokenizer(Small, maxLength, truncation: Truncation.KeepStart).Tokenize(source, report);
        if (prompt is null)
        {
            Assert.Null(example);
            Assert.Equal("read 1 rows; used 0; dropped 1: prompt too long (made.jsonl:7)", report.ToString());
            return;
        }
        Assert.Equal(prompt, Small.Decode(example!.Prompt));
        Assert.Equal(completion!.Replace("<end>", "<|endoftext|>", StringComparison.Ordinal), Small.Decode(example.Completions[0]));
        Assert.Equal("made.jsonl:7", example.Source);
    }

    [Fact]
    public void The_longest_of_all_completions_decides()
    {
        var example = new PreferenceExample("qqqqqqqq", ["x", "xyzxyzxyz", "z"], [new(0, 1), new(0, 2), new(1, 2)]);
        var cut = new ExampleTokenizer(Small, maxLength: 10, maxPromptLength: 4).Tokenize(example, new DataReport())!;
        Assert.Equal("qqqq", Small.Decode(cut.Prompt));
        Assert.Equal(["x<|endoftext|>", "xyzxyz", "z<|endoftext|>"], cut.Completions.Select(ids => Small.Decode(ids)));
        Assert.Equal(example.Pairs, cut.Pairs);
    }

    [Fact]
    public void Completions_beside_a_short_prompt_are_cut_to_the_same_length_as_beside_a_long_one()
    {
        var cut = new ExampleTokenizer(Small, maxLength: 10, maxPromptLength: 4)
            .Tokenize(new PreferenceExample("qq", "xyzxyzxyz", "z"), new DataReport())!;
        Assert.Equal("qq", Small.Decode(cut.Prompt));
        Assert.Equal(["xyzxyz", "z<|endoftext|>"], cut.Completions.Select(ids => Small.Decode(ids)));
    }

    [Fact]
    public void Text_that_spells_the_end_of_text_ends_nothing()
    {
        var example = new ExampleTokenizer(Small).Tokenize(new PreferenceExample("a<|endoftext|>", "b<|endoftext|>", "c"), new DataReport())!;
        Assert.DoesNotContain(0, example.Prompt);
        Assert.Equal(0, example.Completions[0][^1]);
        Assert.Single(example.Completions[0], id => id == 0);
    }

    [Fact]
    public void An_empty_prompt_is_dropped_with_all_its_rows()
    {
        var report = new DataReport();
        report.CountRead(3);
        var example = new PreferenceExample("", ["a", "b", "c"], [new(0, 1), new(0, 2)]) { Source = "rows.jsonl:1" };
        Assert.Null(new ExampleTokenizer(Small).Tokenize(example, report));
        Assert.Equal("read 3 rows; used 1; dropped 2: empty prompt (rows.jsonl:1, …)", report.ToString());
    }

    [Theory]
    [InlineData(1, 1, "The maximum length is 1, but it must be at least 2: one token of prompt and one of completion.")]
    [InlineData(8, 8, "The maximum prompt length is 8, but it must be from 1 to 7, one less than the maximum length, so that completions keep some tokens.")]
    public void Lengths_without_room_are_refused(int maxLength, int maxPromptLength, string expected)
    {
        var e = Assert.Throws<InvalidInputException>(() => new ExampleTokenizer(Small, maxLength, maxPromptLength));
        Assert.Equal(expected, e.Message);
    }

    private static IEnumerable<PreferenceExample> Rows() =>
        File.ReadLines(Fixture.Path("trajectories", "train.jsonl")).Select(line =>
        {
            var row = JsonDocument.Parse(line).RootElement;
            string Text(string name) => row.GetProperty(name).GetString()!;
            return new PreferenceExample(Text("prompt"), Text("chosen"), Text("rejected"));
        });

    private static IEnumerable<int> Ids(JsonElement parent, string name) =>
        parent.GetProperty(name).EnumerateArray().Select(id => id.GetInt32());

    [Theory]
    [InlineData(Truncation.PaperKeepPromptEnd)]
    [InlineData(Truncation.KeepStart)]
    public void Pairs_that_truncation_leaves_no_difference_are_dropped_and_counted(Truncation truncation)
    {
        const string same = " The answer is long and starts with the very same words in both of the completions, because people often restate the question before they say";
        var tokenizer = new ExampleTokenizer(TextTokenizer.Load(Fixture.Path("tokenizer")), 24, 8, truncation);
        var report = new DataReport();
        Assert.Null(tokenizer.Tokenize(new PreferenceExample("Q0?", $"{same} yes.", $"{same} no.") { Source = "t:1" }, report));
        // Of several pairs, those of a difference are kept.
        var several = tokenizer.Tokenize(new PreferenceExample("Q1?", [$"{same} yes.", $"{same} no.", " No."], [new(0, 1), new(0, 2), new(2, 1)]) { Source = "t:2" }, report)!;
        Assert.Equal([new(0, 2), new(2, 1)], several.Pairs);
        // Rankings and scores are all or nothing.
        Assert.Null(tokenizer.Tokenize(new PreferenceExample("Q2?", [$"{same} yes.", $"{same} no.", " No."], [new(0, 1), new(0, 2), new(2, 1)]) { Ranking = [0, 2, 1], Source = "t:3" }, report));
        Assert.Null(tokenizer.Tokenize(new PreferenceExample("Q3?", $"{same} yes.", $"{same} no.") { Scores = [2, 1], Source = "t:4" }, report));
        // Labelled by themselves, completions are compared with nothing.
        Assert.NotNull(tokenizer.Tokenize(new PreferenceExample("Q4?", [$"{same} yes."], []) { Labels = [true] }, report));
        Assert.Null(tokenizer.Tokenize(new PreferenceExample("Q", " a", " a") { Source = "t:6" }, report));
        Assert.Equal(
            "read 8 rows; used 3; dropped 4: identical completions after truncation (t:1, t:2, t:3, t:4); dropped 1: identical completions as tokens (t:6)",
            report.ToString());
        Assert.Equal(3, report.Truncated);
    }
}
