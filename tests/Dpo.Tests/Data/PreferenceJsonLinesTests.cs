using System.Text;
using System.Text.Json;
using CsCheck;

namespace Dpo.Tests;

public class PreferenceJsonLinesTests
{
    private const string Good = """{"prompt": "p", "chosen": " c", "rejected": " r", "score": 3}""";

    [Fact]
    public void Good_rows_are_read_and_every_bad_one_is_counted_by_its_reason()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("train.jsonl", string.Join("\r\n",
            Good,
            "",
            "{\"prompt\": \"p\"",
            "[1]",
            """{"prompt": "p", "chosen": "c"}""",
            """{"prompt": "p", "chosen": null, "rejected": "r"}""",
            """{"prompt": "p", "chosen": "same", "rejected": "same"}""",
            """{"prompt": "p", "chosen": " \n", "rejected": "r"}""",
            """{"prompt": "p", "chosen": "\ud800", "rejected": "r"}""",
            """{"prompt": "p", "prompt": "q", "chosen": "c", "rejected": "r"}""",
            """{"prompt": "ü\n😀", "chosen": "\u00fc", "rejected": ""}""",
            """{"prompt": "ü\n😀", "chosen": "\u00fc", "rejected": "u"}"""));
        var report = new DataReport();
        var examples = PreferenceJsonLines.Read(path, report).ToList();

        Assert.Equal(2, examples.Count);
        Assert.Equal("p", examples[0].Prompt);
        Assert.Equal([" c", " r"], examples[0].Completions);
        Assert.Equal([new PreferencePair(0, 1)], examples[0].Pairs);
        Assert.Equal("train.jsonl:1", examples[0].Source);
        Assert.Equal("ü\n😀", examples[1].Prompt);
        Assert.Equal(["ü", "u"], examples[1].Completions);
        Assert.Equal("train.jsonl:12", examples[1].Source);
        Assert.Equal(
            "read 11 rows; used 2; dropped 2: empty completion (train.jsonl:8, " +
            "train.jsonl:11); dropped 1: identical completions (train.jsonl:7); dropped 3: malformed JSON (train.jsonl:3, " +
            "train.jsonl:9, train.jsonl:10); dropped 1: no field 'chosen' (train.jsonl:6); dropped 1: no field 'rejected' (train.jsonl:5); dropped 1: not a JSON object (train.jsonl:4)",
            report.ToString());
        Assert.Equal(9, report.Dropped);
    }

    /// <summary>Rows of a form that no reader knows, as lines and as an array.</summary>
    [Theory]
    [InlineData("votes.jsonl", "", "\n", "", "1 3 5 7 9")]
    [InlineData("votes.json", "[", ",", "]", "1 2 3 4 5")]
    public void A_function_of_one_s_own_makes_examples_of_rows(string name, string open, string between, string close, string lines)
    {
        using var folder = new TemporaryFolder();
        string[] rows =
        [
            """{"post": "p", "best": "b", "worst": "w", "votes": 3}""", """{"post": "p", "best": "c", "worst": "w", "votes": 2}""",
            """{"post": "p", "best": 1, "worst": "w", "votes": 4}""", """{"post": "p", "best": "d", "votes": 4}""",
            """{"post": "q", "best": "e", "worst": "w", "votes": 9, "id": "of its own"}""",
        ];
        var path = folder.Write(name, open + string.Join(between + (between == "\n" ? "\n" : ""), rows) + close);
        string At(int row) => $"{name}:{lines.Split(' ')[row]}";
        static PreferenceExample Example(JsonElement row) => row.GetProperty("votes").GetInt32() < 3
            ? throw new BadRowException("fewer than 3 votes")
            : new PreferenceExample(row.GetProperty("post").GetString()!, row.GetProperty("best").GetString()!, row.GetProperty("worst").GetString()!)
            {
                Source = row.TryGetProperty("id", out var id) ? id.GetString() : null,
            };

        var report = new DataReport();
        var examples = PreferenceJsonLines.Read(path, report, Example);
        foreach (var time in (int[])[1, 2]) // rows count once
        {
            Assert.Equal([("p", "b", At(0)), ("q", "e", "of its own")], examples.Select(example => (example.Prompt, example.Completions[0], example.Source!)));
            Assert.Equal(
                $"read 5 rows; used 2; dropped 2: a field that is missing or of another kind ({At(2)}, {At(3)}); dropped 1: fewer than 3 votes ({At(1)})",
                report.ToString());
        }
        Assert.Equal(
            $"{path}:{lines.Split(' ')[1]}: fewer than 3 votes; correct the row, or let bad rows be skipped.",
            Assert.Throws<InvalidInputException>(() => PreferenceJsonLines.Read(path, new DataReport(), Example, BadRows.Refuse).Count()).Message);
    }

    [Fact]
    public void Invalid_utf8_is_not_replaced_in_silence()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "latin1.jsonl");
        File.WriteAllText(path, """{"prompt": "über", "chosen": "c", "rejected": "r"}""", Encoding.Latin1);
        var report = new DataReport();
        Assert.Empty(PreferenceJsonLines.Read(path, report));
        Assert.Equal("read 1 rows; used 0; dropped 1: invalid UTF-8 (latin1.jsonl:1)", report.ToString());
    }

    [Fact]
    public void Refusing_stops_at_the_first_bad_row_and_names_it()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("train.jsonl", $"{Good}\n\n{{\"prompt\": \"p\", \"chosen\": \"x\", \"rejected\": \"x\"}}\n{Good}\n");
        using var rows = PreferenceJsonLines.Read(path, new DataReport(), BadRows.Refuse).GetEnumerator();
        Assert.True(rows.MoveNext());
        var e = Assert.Throws<InvalidInputException>(() => rows.MoveNext());
        Assert.Equal($"{path}:3: identical completions; correct the row, or let bad rows be skipped.", e.Message);
    }

    [Fact]
    public void A_damaged_line_is_an_example_or_a_counted_reason_in_every_reader()
    {
        string[] rows =
        [
            Good,
            """{"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}""",
            """{"info": {"post": "p", "title": "t", "subreddit": "s"}, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 1}""",
            """{"input_text": "i", "candidate_0": "a", "candidate_1": "b", "choice": 0}""",
            """{"text": "good", "label": "pos"}""",
        ];
        var piece = Gen.OneOf(
            Gen.OneOf("\"", "{", "}", "[", "]", ":", ",", "\\", "\\ud800", "\\u0000", "null", "1e999", "\"choice\"", "\r", " "),
            Gen.Char.Select(c => c.ToString()));
        var damage = Gen.Select(Gen.Int[0, 200], Gen.Int[0, 5], piece);
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "damaged.jsonl");
        Gen.Select(Gen.Int[0, rows.Length - 1], damage.List[0, 3]).Sample(
            (index, damages) =>
            {
                var line = rows[index];
                foreach (var (at, length, text) in damages)
                {
                    var start = Math.Min(at, line.Length);
                    line = line[..start] + text + line[Math.Min(start + length, line.Length)..];
                }
                // Half a surrogate pair becomes bytes that are no UTF-8.
                File.WriteAllBytes(path, Encoding.UTF8.GetBytes(line.Replace('\n', ' ')).Select(b => b == 0xBD ? (byte)0xFF : b).ToArray());
                var isArray = line.TrimStart(' ', '\t', '\r', '\n').StartsWith('[');
                Counted(isArray, report => PreferenceJsonLines.Read(path, report));
                Counted(isArray, report => HelpfulHarmlessTranscripts.Read(path, report));
                Counted(isArray, report => SummaryComparisons.Read(path, report));
                Counted(isArray, report => ReviewFile.Read(path, report));
            },
            iter: 2000, threads: 1);
    }

    private static void Counted<T>(bool isArray, Func<DataReport, IEnumerable<T>> read)
    {
        var report = new DataReport();
        try
        {
            var used = read(report).Count();
            Assert.Equal(report.Read, used + report.Dropped);
            Assert.InRange(report.Read, 0, 1);
        }
        // Damage that puts a bracket in front makes an array of it, which is refused as a whole where it is not closed.
        catch (InvalidInputException e) when (isArray)
        {
            Assert.Matches(@":[0-9]+: the rows cannot be read on \(", e.Message);
        }
    }
}
