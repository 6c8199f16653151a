using System.IO.Compression;
using System.Text;
using System.Text.Json;
using CsCheck;

namespace Dpo.Tests;

/// <summary>The forms in which files of rows come, and files that are something else.</summary>
public sealed class DataFormsTests : IDisposable
{
    private const string Row = """{"prompt": "a", "chosen": " b", "rejected": " c"}""";

    private static readonly JsonSerializerOptions Flat = new(), Indented = new() { WriteIndented = true };

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static List<PreferenceExample> Read(string path, out DataReport report)
    {
        report = new DataReport();
        return [.. PreferenceFile.Read(path, report)];
    }

    private static string Refused(string path) => Assert.Throws<InvalidInputException>(() => Read(path, out _)).Message;

    [Fact]
    public void What_is_null_is_missing()
    {
        var path = folder.Write("nulls.jsonl", """
            {"prompt":"p1","chosen":" c1","rejected":" r1","score_chosen":null,"score_rejected":null}
            {"prompt":"p2","chosen":" c2","rejected":" r2","completion":null,"label":null}
            {"prompt":"p3","chosen":" c3","rejected":" r3","completions":null}
            {"prompt":null,"chosen":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],"rejected":[{"role":"user","content":"Q"},{"role":"assistant","content":"B"}]}
            {"prompt":"p5","chosen":" c5","rejected":" r5","summaries":null,"input_text":null}
            {"prompt":"p6","completions":["a","b"],"scores":null,"ranking":[1,0],"chosen":null}
            {"prompt":"p7","completions":["a","b"],"scores":[1,2],"ranking":null}
            {"prompt":"p8","completion":"a","label":true,"chosen":null,"completions":null}
            {"prompt":"p9","chosen":" c1","rejected":null}
            """);
        var examples = Read(path, out var report);
        Assert.Equal(8, examples.Count);
        Assert.Null(examples[0].Scores);
        Assert.Equal([new ChatMessage("user", "Q")], examples[3].Conversation!.Prompt);
        Assert.Equal([1, 0], examples[5].Ranking);
        Assert.Equal("read 9 rows; used 8; dropped 1: no field 'rejected' (nulls.jsonl:9)", report.ToString());

        // In the row that tells the format, and in those of the other formats.
        Assert.Equal("q\n\nAssistant:", Assert.Single(Read(
            folder.Write("hh.jsonl", """{"prompt": null, "chosen": "q\n\nAssistant: a", "rejected": "q\n\nAssistant: b"}"""), out _)).Prompt);
        Assert.Equal("i", Assert.Single(Read(
            folder.Write("flat.jsonl", """{"chosen": null, "summaries": null, "input_text": "i", "candidate_0": "a", "candidate_1": "b", "choice": 0}"""), out _)).Prompt);
        Assert.Equal("SUBREDDIT: r/s\nTITLE: t\nPOST: p\nTL;DR:", Assert.Single(Read(folder.Write("tldr.jsonl",
            """{"input_text": null, "info": {"post": "p", "title": "t", "subreddit": "s", "site": null}, "summaries": [{"text": "a", "note": null}, {"text": "b"}], "choice": 1}"""), out _)).Prompt);
    }

    /// <summary>As TRL's trainer of reward models has it: a column of the data.</summary>
    [Fact]
    public void A_margin_is_a_difference_of_scores()
    {
        var examples = Read(folder.Write("margins.jsonl", """
            {"prompt":"p1","chosen":" c1","rejected":" r1","margin":0.5}
            {"prompt":"p2","chosen":" c2","rejected":" r2","margin":null}
            {"prompt":"p3","chosen":" c3","rejected":" r3","margin":9,"score_chosen":4,"score_rejected":1}
            {"prompt":"p4","chosen":" c4","rejected":" r4","margin":"much"}
            """), out var report);
        Assert.Equal([[0.5f, 0], null, [4, 1]], examples.Select(example => example.Scores));
        Assert.Contains("dropped 1: 'margin' ", report.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("true", true)]
    [InlineData("1", true)]
    [InlineData("1.0", true)]
    [InlineData("\"true\"", true)]
    [InlineData("\"True\"", true)]
    [InlineData("\"1\"", true)]
    [InlineData("false", false)]
    [InlineData("0", false)]
    [InlineData("-0.0", false)]
    [InlineData("\"FALSE\"", false)]
    [InlineData("\"0\"", false)]
    public void Labels_are_true_and_false_in_any_spelling(string label, bool value)
    {
        Assert.Equal([value], Assert.Single(Read(folder.Write("kto.jsonl", $$"""{"prompt": "a", "completion": " b", "label": {{label}}}"""), out _)).Labels);
        Assert.Equal(value, Assert.Single(ReviewFile.Read(folder.Write("imdb.jsonl", $$"""{"text": "a", "label": {{label}}}"""), new DataReport())).Positive);
        var flat = Assert.Single(Read(folder.Write("tldr.jsonl", $$"""{"input_text": "i", "candidate_0": "a", "candidate_1": "b", "choice": {{label}}}"""), out _));
        Assert.Equal(value ? "b" : "a", flat.Completions[0]);
    }

    [Theory]
    [InlineData($"[{Row}, {Row}]")]
    [InlineData($"[\n{Row},\n{Row}\n]\n")]
    [InlineData($"\uFEFF \r\n[\r\n  {Row}\r\n  ,{Row}]  \r\n")]
    [InlineData("[\n  {\n    \"prompt\": \"a\",\n    \"chosen\": \" b\",\n    \"rejected\": \" c\"\n  },\n  {\n    \"prompt\": \"a\",\n    \"chosen\": \" b\",\n    \"rejected\": \" c\"\n  }\n]")]
    public void An_array_is_read_as_its_rows_however_it_is_laid_out(string text)
    {
        var examples = Read(folder.Write("train.json", text), out var report);
        Assert.Equal(["train.json:1", "train.json:2"], examples.Select(example => example.Source));
        Assert.All(examples, example => Assert.Equal(("a", " b", " c"), (example.Prompt, example.Completions[0], example.Completions[1])));
        Assert.Equal("read 2 rows; used 2", report.ToString());

        var compressed = folder.File("train.json.gz");
        using (var gzip = new GZipStream(File.Create(compressed), CompressionLevel.Fastest))
            gzip.Write(Encoding.UTF8.GetBytes(text));
        Assert.Equal(2, Read(compressed, out _).Count);
        Assert.Equal(2, PreferenceJsonLines.Read(compressed, new DataReport()).Count());
    }

    [Fact]
    public void Whatever_texts_an_array_holds_its_rows_are_those_that_were_written()
    {
        // Brackets, quotes and backslashes in texts, longer and shorter than what is read at once.
        var text = Gen.OneOf(Gen.String[0, 30], Gen.Char["\\\"{}[],:\n "].Array[0, 40].Select(characters => new string(characters)), Gen.Int[1, 90_000].Select(length => new string('\\', length)));
        Gen.Select(Gen.Select(text, text).Array[1, 4], Gen.Bool).Sample(
            (rows, indented) =>
            {
                string[] prompts = [.. rows.Select(row => new string([.. row.Item1.Where(c => !char.IsSurrogate(c))]))];
                var path = folder.Write("train.json", JsonSerializer.Serialize(
                    prompts.Select(prompt => new { prompt, chosen = "a]", rejected = "b\\" }), indented ? Indented : Flat));
                Assert.Equal(prompts, Read(path, out _).Select(example => example.Prompt));
            },
            iter: 100, threads: 1);
    }

    [Fact]
    public void Bad_items_of_an_array_are_bad_rows()
    {
        Read(folder.Write("train.json", $"[{Row}, 1, \"a,]\", null, {{broken}}, [{Row}], {{}}, {Row},]"), out var report);
        Assert.Equal(
            "read 9 rows; used 2; dropped 2: malformed JSON (train.json:5, train.json:9); dropped 1: no field 'chosen' (train.json:7); " +
            "dropped 4: not a JSON object (train.json:2, train.json:3, train.json:4, train.json:6)",
            report.ToString());
    }

    [Theory]
    [InlineData($"[{Row}, {Row}", "3", "the array is not closed")]
    [InlineData("[{\"prompt\": \"a\\", "1", "the array is not closed")]
    [InlineData($"[{Row} {Row}]", "2", "there is no comma in front of it")]
    [InlineData($"[{Row}]\n{Row}", "2", "there is something behind the array")]
    [InlineData("[{}", "2", "the array is not closed")]
    [InlineData("[{},", "2", "the array is not closed")]
    public void An_array_that_is_not_whole_is_refused(string text, string row, string fault)
    {
        var path = folder.Write("train.json", text);
        var e = Assert.Throws<InvalidInputException>(() => PreferenceJsonLines.Read(path, new DataReport()).ToList());
        Assert.Equal($"{path}:{row}: the rows cannot be read on ({fault}); give one JSON array of objects, or one object a line.", e.Message);
    }

    [Fact]
    public void An_array_cut_off_anywhere_gives_no_part_of_itself_in_silence()
    {
        var whole = $"[\n{Row},\n{Row}\n]";
        for (var length = 1; length < whole.Length; length++)
            Refused(folder.Write("train.json", whole[..length]));
    }

    [Fact]
    public void An_array_is_streamed()
    {
        var path = folder.File("large.json");
        using (var writer = new StreamWriter(path))
        {
            writer.Write("[");
            for (var index = 0; index < 100_000; index++)
                writer.Write(index == 0 ? Row : $", {Row}");
            writer.Write("]");
        }
        var peak = 0L;
        foreach (var (index, _) in PreferenceFile.Read(path, new DataReport()).Index())
            peak = index % 10_000 == 0 ? Math.Max(peak, GC.GetTotalMemory(forceFullCollection: true)) : peak;
        var before = GC.GetTotalMemory(forceFullCollection: true);
        Assert.InRange(peak - before, long.MinValue, 1_000_000);
    }

    [Theory]
    [InlineData("{\n  \"prompt\": \"a\",\n  \"chosen\": \" b\",\n  \"rejected\": \" c\"\n}\n")]
    [InlineData($"{{\"data\": [\n{Row},\n{Row}\n]}}\n")]
    [InlineData("{\"prompt\": \"a\",\n\"chosen\": \" b\", \"rejected\": \" c\"}\n{\"prompt\": \"a\", \"chosen\": \" b\", \"rejected\": \" c\"}\n")]
    public void Rows_over_several_lines_are_no_rows_of_which_some_are_bad(string text)
    {
        var path = folder.Write("train.json", text);
        Assert.Equal(
            $"{path}:2: the line goes on with the row in front of it; give one JSON object a line, or one array of objects.",
            Assert.Throws<InvalidInputException>(() => PreferenceJsonLines.Read(path, new DataReport()).ToList()).Message);
    }

    [Fact]
    public void Rows_with_commas_between_them_and_no_brackets_are_refused()
    {
        var path = folder.Write("train.jsonl", $"{Row},\n{Row}, \n{Row}\n");
        Assert.Equal(
            $"{path}:1: the row ends with a comma, as in an array without its brackets; put [ and ] around the rows, or leave the commas out.",
            Assert.Throws<InvalidInputException>(() => PreferenceJsonLines.Read(path, new DataReport()).ToList()).Message);
    }

    [Fact]
    public void Rows_of_no_known_form_are_skipped_and_counted()
    {
        var path = folder.Write("train.jsonl", $"{{}}\n{{\"x\": 1}}\n[1]\n{{\"prompt\": \"p\"\n{Row}\n{{}}\n");
        Assert.Single(Read(path, out var report));
        Assert.Equal(
            "read 6 rows; used 1; dropped 1: malformed JSON (train.jsonl:4); dropped 3: no field 'chosen' (train.jsonl:1, train.jsonl:2, train.jsonl:6); " +
            "dropped 1: not a JSON object (train.jsonl:3)",
            report.ToString());
        Assert.StartsWith($"{path}:1: the row has none of the fields of a known format; give rows with ", Assert.Throws<InvalidInputException>(
            () => PreferenceFile.Read(path, new DataReport(), BadRows.Refuse)).Message);
    }

    [Theory]
    [InlineData("train.jsonl", "50 41 52 31 00 00 00 00", "a Parquet file, not JSON; read it by the package Dpo.Parquet, and in the programs under a name that ends in .parquet.")]
    [InlineData("train.jsonl", "1F 8B 08 00", "compressed by gzip, not JSON; give it a name that ends in .gz.")]
    [InlineData("train.jsonl", "28 B5 2F FD 00", "compressed by Zstandard, not JSON; decompress it, or compress it by gzip.")]
    [InlineData("train.jsonl", "50 4B 03 04 00", "a zip archive, not JSON; unpack it.")]
    [InlineData("train.csv", "70 72 6F 6D 70 74 2C 63 0A", "a table of separated values, not JSON; write it as JSON Lines, an object a line, or as Parquet.")]
    [InlineData("train.TSV", "70 09 0A", "a table of separated values, not JSON; write it as JSON Lines, an object a line, or as Parquet.")]
    public void A_file_of_another_kind_is_called_what_it_is(string name, string bytes, string message)
    {
        var path = folder.File(name);
        File.WriteAllBytes(path, Convert.FromHexString(bytes.Replace(" ", "", StringComparison.Ordinal)));
        Assert.Equal($"{path}: the file is {message}", Refused(path));
        Assert.Equal($"{path}: the file is {message}", Assert.Throws<InvalidInputException>(() => ReviewFile.Read(path, new DataReport()).ToList()).Message);
    }

    [Fact]
    public void Json_under_the_name_of_a_table_is_read() => Assert.Single(Read(folder.Write("train.csv", Row), out _));

    [Fact]
    public void Half_a_compressed_file_trains_on_nothing()
    {
        // As a download that broke off: the rows that are there read well.
        var path = folder.File("train.jsonl.gz");
        using (var gzip = new GZipStream(File.Create(path), CompressionLevel.Optimal))
            gzip.Write(File.ReadAllBytes(Fixture.Path("trajectories", "train.jsonl")));
        var whole = File.ReadAllBytes(path);
        Assert.Equal(48, Read(path, out _).Count);
        for (var length = whole.Length / 4; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Contains(": the file cannot be read on (", Refused(path), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_row_of_very_many_completions_is_a_bad_row()
    {
        string Ranked(int count) => JsonSerializer.Serialize(new { prompt = "p", completions = Enumerable.Range(0, count).Select(index => $"{index}"), scores = Enumerable.Range(0, count) });
        Assert.Equal(1024 * 1023 / 2, Assert.Single(Read(folder.Write("many.jsonl", Ranked(1024)), out _)).Pairs.Count);
        var path = folder.Write("many.jsonl", Ranked(1025) + "\n" + Ranked(30_000));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Empty(Read(path, out var report));
        Assert.Equal("read 2 rows; used 0; dropped 2: 'completions' holds more than 1024, which would make too many pairs (many.jsonl:1, many.jsonl:2)", report.ToString());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 20_000_000);
    }

    [Theory]
    [InlineData("/dev/zero")]
    [InlineData("/dev/null/x.jsonl")]
    public void A_device_is_no_data(string path)
    {
        if (OperatingSystem.IsWindows())
            return;
        Assert.StartsWith(path, Refused(path), StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipe_is_no_data()
    {
        if (OperatingSystem.IsWindows())
            return;
        var path = folder.File("pipe.jsonl");
        using (var make = System.Diagnostics.Process.Start("mkfifo", path))
            make.WaitForExit();
        Assert.Equal($"{path} is a pipe or a device, which has no length; give a regular file.", Refused(path));
        Directory.CreateDirectory(folder.File("reviews/pos"));
        Directory.CreateDirectory(folder.File("reviews/neg"));
        File.Move(path, folder.File("reviews/neg/1.txt"));
        Assert.Equal(
            $"{folder.File("reviews/neg/1.txt")} is a pipe or a device, which has no length; give a regular file.",
            Assert.Throws<InvalidInputException>(() => ReviewFile.Read(folder.File("reviews"), new DataReport()).ToList()).Message);
    }
}
