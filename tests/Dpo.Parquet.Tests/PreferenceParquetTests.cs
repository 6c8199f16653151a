using CsCheck;
using ParquetSharp;

namespace Dpo.Tests;

public sealed class PreferenceParquetTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", name);

    [Fact]
    public void Shards_of_scored_conversations_are_read_in_order()
    {
        var report = new DataReport();
        var examples = PreferenceParquet.Read(Fixture("train_prefs-*.parquet"), report).ToList();

        Assert.Equal(
            "read 7 rows; used 5; dropped 1: identical completions (train_prefs-00000-of-00002.parquet:4); " +
            "dropped 1: no field 'score_chosen' (train_prefs-00001-of-00002.parquet:2)",
            report.ToString());
        Assert.Equal(
            ["train_prefs-00000-of-00002.parquet:1", "train_prefs-00000-of-00002.parquet:2", "train_prefs-00000-of-00002.parquet:3",
                "train_prefs-00001-of-00002.parquet:1", "train_prefs-00001-of-00002.parquet:3"],
            examples.Select(example => example.Source));
        Assert.Equal([0, 1, 2, 4, 6], examples.Select(example => (int)example.Scores![1]));
        Assert.Equal([8f, 8.25f, 8.5f, 9f, 9.5f], examples.Select(example => example.Scores![0]));
        Assert.Equal([new ChatMessage("user", "question 1 ü😀")], examples[3].Conversation!.Prompt);
        Assert.Equal([new ChatMessage("assistant", "good answer 4")], examples[3].Conversation!.Completions[0]);
        Assert.Equal([new ChatMessage("assistant", "bad answer 4")], examples[3].Conversation!.Completions[1]);
    }

    [Fact]
    public void A_function_of_one_s_own_makes_examples_of_rows()
    {
        var report = new DataReport();
        var examples = PreferenceParquet.Read(Fixture("ranked.parquet"), report, row => row.GetProperty("ranking").GetArrayLength() is > 1 and var ranked
            ? new PreferenceExample(row.GetProperty("prompt").GetString()!, $"{ranked}", "none")
            : throw new BadRowException("no ranking"));
        Assert.Equal([("ranked.parquet:1", "3"), ("ranked.parquet:4", "2")], examples.Select(example => (example.Source!, example.Completions[0])));
        Assert.Equal("read 4 rows; used 2; dropped 1: a field that is missing or of another kind (ranked.parquet:2); dropped 1: no ranking (ranked.parquet:3)", report.ToString());
    }

    [Fact]
    public void Lists_nulls_and_empty_lists_are_told_apart()
    {
        var report = new DataReport();
        var example = Assert.Single(PreferenceParquet.Read(Fixture("ranked.parquet"), report));
        Assert.Equal(["x", "y", "z"], example.Completions);
        Assert.Equal([2, 0, 1], example.Ranking);
        Assert.Equal(
            "read 4 rows; used 1; dropped 1: 'completions' is no list of two or more (ranked.parquet:3); dropped 1: no field 'chosen' (ranked.parquet:4); " +
            "dropped 1: no field 'prompt' (ranked.parquet:2)",
            report.ToString());
    }

    [Fact]
    public void Summary_comparisons_unpaired_chats_and_reviews_are_read()
    {
        var report = new DataReport();
        var summary = Assert.Single(PreferenceParquet.Read(Fixture("comparisons.parquet"), report, BadRows.Refuse));
        Assert.Equal("SUBREDDIT: r/aww\nTITLE: Cat\nPOST: My cat sat down.\nTL;DR:", summary.Prompt);
        Assert.Equal([" It sat.", " It stood."], summary.Completions);

        var unpaired = PreferenceParquet.Read(Fixture("unpaired.parquet"), report, BadRows.Refuse).ToList();
        Assert.Equal([true, false], unpaired.Select(example => example.Labels!.Single()));
        Assert.Equal("a", unpaired[1].Conversation!.Completions[0][0].Content);

        Assert.Equal(
            [new Review("Fine.\n\nReally.", true, "imdb.parquet:1"), new Review("Poor.", false, "imdb.parquet:2")],
            ReviewParquet.Read(Fixture("imdb.parquet"), report, BadRows.Refuse));
    }

    [Fact]
    public void A_bad_row_is_refused_with_the_shard_it_is_in()
    {
        var path = Fixture("train_prefs-00001-of-00002.parquet");
        var e = Assert.Throws<InvalidInputException>(() => PreferenceParquet.Read(Fixture("train_prefs-*"), new DataReport(), BadRows.Refuse).Skip(3).ToList());
        Assert.Equal($"{Fixture("train_prefs-00000-of-00002.parquet")}:4: identical completions; correct the row, or let bad rows be skipped.", e.Message);
        e = Assert.Throws<InvalidInputException>(() => PreferenceParquet.Read(path, new DataReport(), BadRows.Refuse).ToList());
        Assert.Equal($"{path}:2: no field 'score_chosen'; correct the row, or let bad rows be skipped.", e.Message);
    }

    [Fact]
    public void Text_that_is_no_utf8_is_a_bad_row()
    {
        // As bytes the texts need no column type of their own.
        var path = folder.File("bytes.parquet");
        using (var file = new ParquetFileWriter(path, [new Column<byte[]>("prompt"), new Column<byte[]>("chosen"), new Column<byte[]>("rejected")]))
        {
            using var group = file.AppendRowGroup();
            foreach (var values in (byte[][][])[[[.. "p"u8], [.. "p"u8]], [[.. "a"u8], [0xFF]], [[.. "\u00fc"u8], [.. "b"u8]]])
            {
                using var writer = group.NextColumn().LogicalWriter<byte[]>();
                writer.WriteBatch(values);
            }
            file.Close();
        }
        var report = new DataReport();
        Assert.Equal(["a", "ü"], Assert.Single(PreferenceParquet.Read(path, report)).Completions);
        Assert.Equal("read 2 rows; used 1; dropped 1: invalid UTF-8 (bytes.parquet:2)", report.ToString());
    }

    [Fact]
    public void A_folder_must_hold_one_whole_data_set()
    {
        foreach (var name in new[] { "train_prefs-00000-of-00002.parquet", "train_prefs-00001-of-00002.parquet" })
            File.Copy(Fixture(name), folder.File(name));
        var report = new DataReport();
        Assert.Equal(5, PreferenceParquet.Read(folder.Path, report).Count());

        File.Copy(Fixture("train_prefs-00000-of-00002.parquet"), folder.File("test_prefs-00000-of-00001.parquet"));
        Assert.Equal(
            $"{folder.Path}: the folder holds several data sets (test_prefs, train_prefs); name one by a pattern, such as {folder.File("test_prefs")}*.parquet.",
            Refused(folder.Path));
        File.Delete(folder.File("test_prefs-00000-of-00001.parquet"));
        File.Delete(folder.File("train_prefs-00001-of-00002.parquet"));
        Assert.Equal(
            $"{folder.Path}: the folder holds 1 of the 2 files of train_prefs; fetch the others, or name those to be read by a pattern.", Refused(folder.Path));
        Assert.Equal(
            $"{folder.File("valid*.parquet")}: there is no such Parquet file; give a file, a pattern such as data/train-*.parquet, or a folder.",
            Refused(folder.File("valid*.parquet")));
        Assert.StartsWith($"{folder.File("none.parquet")} cannot be read: ", Refused(folder.File("none.parquet")));
        Assert.StartsWith($"{folder.File("text.parquet")}: the file cannot be read as Parquet (", Refused(folder.Write("text.parquet", "{\"prompt\": \"p\"}\n")));
    }

    [Fact]
    public void A_file_that_was_cut_off_is_refused_by_name()
    {
        var original = File.ReadAllBytes(Fixture("train_prefs-00000-of-00002.parquet"));
        var path = folder.File("damaged.parquet");
        Gen.Int[1, original.Length - 1].Sample(length =>
        {
            File.WriteAllBytes(path, original[..length]);
            Assert.StartsWith($"{path}:", Refused(path));
        }, iter: 200, threads: 1);
    }

    /// <summary>What is stored has no checksum, so that a text may be another one; but nothing is taken for what it cannot be, and no
    /// damage takes memory without end or never returns.</summary>
    [Theory]
    [InlineData("train_prefs-00000-of-00002.parquet")]
    [InlineData("ranked.parquet")]
    [InlineData("comparisons.parquet")]
    [InlineData("unpaired.parquet")]
    public void Whatever_bytes_are_changed_rows_are_examples_or_counted_or_the_file_is_refused(string name)
    {
        var original = File.ReadAllBytes(Fixture(name));
        var rows = new DataReport();
        Assert.NotEmpty(PreferenceParquet.Read(Fixture(name), rows).ToList());
        var path = folder.File("damaged.parquet");
        var (read, refused) = (0, 0);
        Gen.Select(Gen.UInt, Gen.Byte).Array[1, 3].Sample(
            changes =>
            {
                var damaged = original.ToArray();
                foreach (var (place, value) in changes)
                    damaged[place % (uint)damaged.Length] = value;
                File.WriteAllBytes(path, damaged);
                var before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    var report = new DataReport();
                    foreach (var example in PreferenceParquet.Read(path, report))
                    {
                        Assert.All(example.Completions, text => Assert.False(string.IsNullOrWhiteSpace(text)));
                        Assert.Matches("^damaged.parquet:[1-7]$", example.Source);
                    }
                    Assert.Equal(rows.Read, report.Read);
                    read++;
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith($"{path}:", e.Message);
                    refused++;
                }
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 50_000_000);
            },
            iter: 1000, threads: 1);
        Assert.True(read > 100 && refused > 100, $"{read} read, {refused} refused");
    }

    private static string Refused(string path) =>
        Assert.Throws<InvalidInputException>(() => PreferenceParquet.Read(path, new DataReport()).ToList()).Message;
}
