namespace Dpo.Tests;

/// <summary>Data that are gone through more than once are the same each time, and counted once.</summary>
public sealed class SecondEnumerationTests : IDisposable
{
    private const string Row = """{"prompt": "p", "chosen": " c", "rejected": " r"}""";

    private static readonly TextTokenizer Text = TextTokenizer.Load(Fixture.Path("tokenizer"));

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Cleaned_data_are_the_same_a_second_time()
    {
        var path = folder.Write("train.jsonl", $"{Row}\n{Row}\nbroken\n{Row.Replace("p\"", "q\"", StringComparison.Ordinal)}\n{{\"prompt\": \"p\", \"chosen\": \" r\", \"rejected\": \" c\"}}\n");
        var report = new DataReport();
        var examples = PreferenceFile.Read(path, report).WithoutDuplicates(report).WithoutContradictions(report).Keep(example => example.Prompt != "x", "x", report);
        const string expected = "read 5 rows; used 1; dropped 2: contradictory pair (train.jsonl:1, train.jsonl:5); dropped 1: duplicate (train.jsonl:2); " +
            "dropped 1: malformed JSON (train.jsonl:3)";
        for (var pass = 0; pass < 3; pass++)
        {
            Assert.Equal(["train.jsonl:4"], examples.Select(example => example.Source));
            Assert.Equal(expected, report.ToString());
        }
    }

    [Fact]
    public void A_reading_that_was_broken_off_counts_as_far_as_any_went()
    {
        var path = folder.Write("train.jsonl", $"{Row}\nbroken\n{Row}\n{Row}\n");
        var report = new DataReport();
        var examples = PreferenceFile.Read(path, report);
        Assert.Equal(0, report.Read);
        Assert.NotNull(examples.First());
        Assert.Equal((1, 0), (report.Read, report.Dropped));
        Assert.Equal(3, examples.Count());
        Assert.NotNull(examples.First());
        Assert.Equal((4, 1), (report.Read, report.Dropped));
        // Another reading of the file is another.
        Assert.Equal(3, PreferenceFile.Read(path, report).Count());
        Assert.Equal((8, 2), (report.Read, report.Dropped));
    }

    [Fact]
    public void Every_reader_counts_once()
    {
        string File(string name, string row) => folder.Write(name, row + "\n{}\n");
        const string transcripts = """{"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}""";
        folder.Write("reviews/pos/1.txt", "good");
        folder.Write("reviews/neg/1.txt", " ");
        Func<DataReport, IEnumerable<object>>[] readers =
        [
            report => PreferenceJsonLines.Read(File("pairs.jsonl", Row), report),
            report => PreferenceFile.Read(folder.Write("array.json", $"[{Row}, {{}}]"), report),
            report => HelpfulHarmlessTranscripts.Read(File("hh.jsonl", transcripts), report),
            report => PreferenceFile.Read(File("hh.jsonl", transcripts), report),
            report => SummaryComparisons.Read(File("tldr.jsonl", """{"input_text": "i", "candidate_0": "a", "candidate_1": "b", "choice": 0}"""), report),
            report => ReviewFile.Read(File("reviews.jsonl", """{"text": "good", "label": "pos"}"""), report),
            report => ReviewFile.Read(folder.File("reviews"), report),
        ];
        foreach (var (index, read) in readers.Index())
        {
            var report = new DataReport();
            var rows = read(report);
            Assert.Single(rows);
            Assert.Single(rows);
            Assert.Equal((index, 2, 1), (index, report.Read, report.Dropped));
        }
    }

    [Fact]
    public void What_the_tokenizer_drops_and_cuts_is_counted_once()
    {
        var path = folder.Write("train.jsonl", $"{Row}\n{Row.Replace("\"p\"", "\"\"", StringComparison.Ordinal)}\n{Row.Replace(" c", " completion that is much too long to be kept whole", StringComparison.Ordinal)}\n");
        var report = new DataReport();
        var tokenizer = new ExampleTokenizer(Text, 8, 4);
        var examples = PreferenceFile.Read(path, report);
        Assert.Equal(3, examples.Count()); // nothing was tokenized yet
        var tokenized = examples.Select(example => tokenizer.Tokenize(example, report)).OfType<TokenizedExample>();
        Assert.Equal(2, tokenized.Count());
        Assert.Equal("read 3 rows; used 2; dropped 1: empty prompt (train.jsonl:2)", report.ToString());
        var (rows, tokens) = (report.Truncated, report.TokensCut);
        Assert.Equal(1, rows);
        Assert.Equal(2, tokenized.Count());
        Assert.Equal("read 3 rows; used 2; dropped 1: empty prompt (train.jsonl:2)", report.ToString());
        Assert.Equal((rows, tokens), (report.Truncated, report.TokensCut));

        // Both parts of a split are counted, in whatever order.
        report = new DataReport();
        var (train, test) = PreferenceFile.Read(path, report).SplitByPrompt(0.5, 0);
        foreach (var example in train.Concat(test).Concat(test).Concat(train))
            tokenizer.Tokenize(example, report);
        Assert.Equal("read 3 rows; used 2; dropped 1: empty prompt (train.jsonl:2)", report.ToString());
    }

    [Fact]
    public void Examples_made_in_code_count_where_they_are_met()
    {
        PreferenceExample[] examples = [new("p", " a", " b"), new("", " a", " b"), new("p", " a", " b"), new("q", [" a", " b", " c"], [new(0, 1), new(0, 2)])];
        var report = new DataReport();
        var tokenizer = new ExampleTokenizer(Text);
        var tokenized = examples.WithoutDuplicates(report).Select(example => tokenizer.Tokenize(example, report)).OfType<TokenizedExample>();
        for (var pass = 0; pass < 2; pass++)
        {
            Assert.Equal(2, tokenized.Count());
            Assert.Equal("read 5 rows; used 3; dropped 1: duplicate; dropped 1: empty prompt", report.ToString());
        }

        // Grouped, cut or copied they stay the examples they were.
        report = new DataReport();
        foreach (var example in examples.WithoutContradictions(report).GroupByPrompt().Select(example => example with { Source = "s" }))
            tokenizer.Tokenize(example, report);
        Assert.Equal("read 5 rows; used 4; dropped 1: empty prompt (s)", report.ToString());

        // What is said by hand holds.
        report = new DataReport();
        foreach (var example in examples)
        {
            report.CountRead(example.RowCount);
            tokenizer.Tokenize(example, report);
        }
        Assert.Equal("read 5 rows; used 4; dropped 1: empty prompt", report.ToString());
    }

    [Fact]
    public void Examples_that_another_report_saw_read_count_where_they_are_met()
    {
        var examples = PreferenceFile.Read(folder.Write("train.jsonl", $"{Row}\n{Row.Replace("\"p\"", "\"\"", StringComparison.Ordinal)}\n"), new DataReport()).ToList();
        var report = new DataReport();
        foreach (var example in examples)
            new ExampleTokenizer(Text).Tokenize(example, report);
        Assert.Equal("read 2 rows; used 1; dropped 1: empty prompt (train.jsonl:2)", report.ToString());
        Assert.Equal(examples[0], examples[0] with { Mark = RowMark.New() }); // no difference
    }
}
