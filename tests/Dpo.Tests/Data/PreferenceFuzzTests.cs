using System.IO.Compression;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CsCheck;

namespace Dpo.Tests;

/// <summary>Files of preferences in every form, damaged: what comes of them are whole examples and counted rows, or a refusal that
/// names the file and the line; nothing else.</summary>
public sealed class PreferenceFuzzTests : IDisposable
{
    private static readonly ExampleTokenizer Tokenizer =
        new(TextTokenizer.Load(Fixture.Path("tokenizer")), 64, 32, chatTemplate: ChatTemplate.HelpfulHarmless);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>Three rows of one form.</summary>
    private static string[] Rows(string form) => [.. Enumerable.Range(1, 3).Select(number => Row(form).Replace("#", $"{number}", StringComparison.Ordinal))];

    private static string Row(string form) => form switch
    {
        "pairs" => """{"prompt": "p#", "chosen": " good", "rejected": " bad"}""",
        "implicit" => """{"chosen": "p# good", "rejected": "p# bad"}""",
        "scored" => """{"prompt": "p#", "chosen": " good", "rejected": " bad", "score_chosen": 8.5, "score_rejected": -#}""",
        "chat" => """{"prompt": [{"role": "user", "content": "q#"}], "chosen": [{"role": "assistant", "content": "good"}], "rejected": [{"role": "assistant", "content": "bad"}], "score_chosen": 2, "score_rejected": 1}""",
        "binarized" => """{"prompt": "q#", "chosen": [{"role": "user", "content": "q#"}, {"role": "assistant", "content": "good"}], "rejected": [{"role": "user", "content": "q#"}, {"role": "assistant", "content": "bad"}]}""",
        "ranked" => """{"prompt": "p#", "completions": [" a", " b", " c"], "ranking": [2, 0, 1]}""",
        "rated" => """{"prompt": "p#", "completions": [" a", " b", " c"], "scores": [0.5, #, 0.5]}""",
        "ranked_chat" => """{"prompt": [{"role": "user", "content": "q#"}], "completions": [[{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "b"}]], "scores": [1, #.5]}""",
        "unpaired" => """{"prompt": "p#", "completion": " a", "label": true}""",
        "unpaired_chat" => """{"prompt": [{"role": "user", "content": "q#"}], "completion": [{"role": "assistant", "content": "a"}], "label": false}""",
        "transcripts" => """{"chosen": "\n\nHuman: q#\n\nAssistant: good", "rejected": "\n\nHuman: q#\n\nAssistant: bad"}""",
        "summaries" => """{"info": {"post": "p#", "title": "t", "subreddit": "s"}, "summaries": [{"text": "good"}, {"text": "bad"}], "choice": 1}""",
        _ => """{"input_text": "p#", "candidate_0": " good", "candidate_1": " bad", "choice": 0}""",
    };

    public static TheoryData<string> Forms =>
    [
        "pairs", "implicit", "scored", "chat", "binarized", "ranked", "rated", "ranked_chat", "unpaired", "unpaired_chat", "transcripts", "summaries", "flat_summaries",
    ];

    [Theory]
    [MemberData(nameof(Forms))]
    public void Whatever_value_stands_in_a_field_rows_are_examples_or_named(string form)
    {
        var rows = Rows(form);
        var path = folder.File("fields.jsonl");
        File.WriteAllLines(path, rows);
        Assert.Equal((3, 0), Read(path)); // undamaged
        Dictionary<string, string> Texts() => PreferenceFile.Read(path, new DataReport()).ToDictionary(example => example.Source!, example => JsonSerializer.Serialize(example));
        var whole = Texts();
        var (kept, dropped, refused) = (0, 0, 0);
        Gen.Int[0, 2].SelectMany(place => JsonDamage.Of(JsonNode.Parse(rows[place])!).Select(damaged => (place, damaged))).Sample(
            change =>
            {
                var (place, damaged) = change;
                // A damaged row may hold a line break of its own, as more than one line.
                string[] lines = [.. rows[..place], damaged.ReplaceLineEndings(" "), .. rows[(place + 1)..]];
                File.WriteAllLines(path, lines);
                if (Read(path) is not { } counts)
                    return;
                (kept, dropped) = (kept + counts.Used, dropped + counts.Dropped);
                Assert.Equal(3, counts.Used + counts.Dropped);
                Assert.InRange(counts.Dropped, 0, 1);
                // The other rows are what they were.
                var source = $"fields.jsonl:{place + 1}";
                Assert.Equal(whole.Where(example => example.Key != source), Texts().Where(example => example.Key != source));
                if (Refusal(path) is { } line)
                {
                    refused++;
                    Assert.Equal((place + 1, 1), (line, counts.Dropped));
                }
            },
            iter: 400, threads: 1);
        Assert.True(kept > 500 && dropped > 50 && refused > 50, $"{kept} kept, {dropped} dropped, {refused} refused");
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Whatever_bytes_are_changed_put_in_or_taken_out_rows_are_examples_or_named(string form)
    {
        var path = folder.File("bytes.jsonl");
        var original = Encoding.UTF8.GetBytes(string.Join('\n', Rows(form)) + "\n");
        ByteDamage.Of(original, most: 4, Gen.Byte).Sample(
            bytes =>
            {
                File.WriteAllBytes(path, bytes);
                Read(path);
                Refusal(path);
            },
            iter: 400, threads: 1);
    }

    [Theory]
    [InlineData("pairs")]
    [InlineData("ranked_chat")]
    public void Whatever_bytes_of_an_array_are_changed_rows_are_examples_or_named(string form)
    {
        var path = folder.File("array.jsonl");
        var original = Encoding.UTF8.GetBytes($"[\n{string.Join(",\n", Rows(form))}\n]\n");
        File.WriteAllBytes(path, original);
        Assert.Equal((3, 0), Read(path)); // undamaged
        ByteDamage.Of(original, most: 4, Gen.Byte).Sample(
            bytes =>
            {
                File.WriteAllBytes(path, bytes);
                Read(path);
                Refusal(path);
            },
            iter: 1000, threads: 1);
    }

    [Fact]
    public void A_changed_byte_in_a_gzipped_file_changes_no_example()
    {
        var path = folder.File("pairs.jsonl.gz");
        using (var gzip = new GZipStream(File.Create(path), CompressionLevel.Optimal))
            gzip.Write(Encoding.UTF8.GetBytes(string.Join('\n', Rows("scored"))));
        var original = File.ReadAllBytes(path);
        string Texts() => string.Join("|", PreferenceFile.Read(path, new DataReport()).Select(example => $"{example.Prompt}{string.Concat(example.Completions)}{string.Join(",", example.Scores!)}"));
        var expected = Texts();
        var same = 0;
        for (var at = 0; at < original.Length; at++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                var damaged = original.ToArray();
                damaged[at] ^= (byte)(1 << bit);
                File.WriteAllBytes(path, damaged);
                try
                {
                    Assert.Equal(expected, Texts());
                    same++;
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith($"{path}:", e.Message, StringComparison.Ordinal);
                }
            }
        }
        // The header's time, flags and system say nothing of the rows.
        Assert.InRange(same, 1, 80);
    }

    /// <summary>Reads and tokenizes a file where bad rows are skipped: how many rows were used and dropped. Null where the first row is
    /// in no known form.</summary>
    private static (int Used, int Dropped)? Read(string path)
    {
        var report = new DataReport();
        List<PreferenceExample> examples;
        try
        {
            examples = [.. PreferenceFile.Read(path, report)];
        }
        catch (InvalidInputException e)
        {
            Assert.Matches(
                $"^{Regex.Escape(path)}(: there is no row that can be read( \\(read .+\\))?; give rows with |:[0-9]+: the (line goes on with|rows cannot be read on|row ends with a comma))",
                e.Message);
            return null;
        }
        var used = examples.Sum(example => example.RowCount);
        Assert.Equal(report.Used, used);
        foreach (var example in examples)
        {
            AssertWhole(example);
            if (Tokenizer.Tokenize(example, report) is { } tokenized)
            {
                Assert.Equal(example.Completions.Count, tokenized.Completions.Count);
                Assert.All(tokenized.Completions.Append(tokenized.Prompt), Assert.NotEmpty);
            }
            else
            {
                used -= example.RowCount;
            }
        }
        Assert.Equal(report.Used, used);
        return (used, report.Dropped);
    }

    /// <summary>Reads a file where bad rows are refused: the line that is named; null where there is no bad row.</summary>
    private static int? Refusal(string path)
    {
        try
        {
            Assert.All(PreferenceFile.Read(path, new DataReport(), BadRows.Refuse), AssertWhole);
            return null;
        }
        catch (InvalidInputException e)
        {
            var named = Regex.Match(e.Message, $"^{Regex.Escape(path)}:([0-9]+): .+\\.$", RegexOptions.Singleline);
            Assert.True(named.Success || e.Message.StartsWith($"{path}: there is no row that can be read; ", StringComparison.Ordinal), e.Message);
            return named.Success ? int.Parse(named.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture) : null;
        }
    }

    private static void AssertWhole(PreferenceExample example)
    {
        var indices = Enumerable.Range(0, example.Completions.Count);
        Assert.NotEmpty(example.Completions);
        Assert.All(example.Completions, text => Assert.False(string.IsNullOrWhiteSpace(text)));
        Assert.All(example.Pairs, pair => Assert.True(pair.Chosen != pair.Rejected && indices.Contains(pair.Chosen) && indices.Contains(pair.Rejected)));
        Assert.True(example.Pairs.Count > 0 || example.Labels is not null);
        if (example.Ranking is { } ranking)
            Assert.Equal(indices, ranking.Order());
        if (example.Scores is { } scores)
            Assert.True(scores.Count == example.Completions.Count && scores.All(float.IsFinite));
        if (example.Labels is { } labels)
            Assert.Equal(example.Completions.Count, labels.Count);
        Assert.Matches("^[a-z]+\\.jsonl:[0-9]+$", example.Source);
    }
}
