using System.Diagnostics;
using ParquetSharp;

namespace Dpo.Tests;

/// <summary>Columns under other names, values in other spellings, and files that claim more than they hold.</summary>
public sealed class ParquetFormsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", name);

    private static string Refused(string path) =>
        Assert.Throws<InvalidInputException>(() => PreferenceParquet.Read(path, new DataReport()).ToList()).Message;

    /// <summary>Writes columns of texts.</summary>
    private string Texts(string name, Compression compression, params (string Name, string?[] Values)[] columns)
    {
        var path = folder.File(name);
        using var file = new ParquetFileWriter(path, [.. columns.Select(column => (Column)new Column<string>(column.Name))], compression);
        using (var group = file.AppendRowGroup())
        {
            foreach (var (_, values) in columns)
            {
                using var writer = group.NextColumn().LogicalWriter<string?>();
                writer.WriteBatch(values);
            }
        }
        file.Close();
        return path;
    }

    [Fact]
    public void What_is_null_is_missing_and_a_column_of_nothing_else_too()
    {
        var report = new DataReport();
        var scored = PreferenceParquet.Read(Fixture("nulltype_score.parquet"), report, BadRows.Refuse).ToList();
        Assert.Equal(3, scored.Count);
        Assert.All(scored, example => Assert.Null(example.Scores));
        Assert.Equal(3, PreferenceParquet.Read(Fixture("nulltype_prompt.parquet"), report, BadRows.Refuse).Count());
        Assert.Equal("read 6 rows; used 6", report.ToString());
    }

    [Fact]
    public void A_column_that_may_belong_to_the_prompt_and_is_not_read_is_told()
    {
        var report = new DataReport();
        var path = Texts("context.parquet", Compression.Snappy, ("prompt", ["a"]), ("context", ["b"]), ("chosen", ["c"]), ("rejected", ["d"]), ("source", ["e"]));
        Assert.Single(PreferenceParquet.Read(path, report));
        Assert.Equal("read 1 rows; used 1; not used: 'context'", report.ToString());
    }

    [Fact]
    public void Labels_may_be_numbers()
    {
        var report = new DataReport();
        var examples = PreferenceParquet.Read(Fixture("kto_int.parquet"), report, BadRows.Refuse).ToList();
        Assert.Equal(3, examples.Count);
        Assert.All(examples, example => Assert.Single(example.Labels!));
        Assert.Equal(2, examples.Select(example => example.Labels![0]).Distinct().Count());
    }

    [Theory]
    [InlineData(Compression.Uncompressed)]
    [InlineData(Compression.Snappy)]
    [InlineData(Compression.Gzip)]
    [InlineData(Compression.Brotli)]
    [InlineData(Compression.Zstd)]
    [InlineData(Compression.Lz4)]
    public void Pages_may_be_compressed_in_any_way(Compression compression)
    {
        var count = 3000; // more than is in memory at a time
        string[] Numbered(string text) => [.. Enumerable.Range(0, count).Select(index => $"{text} {index}")];
        var path = Texts("train.parquet", compression, ("prompt", Numbered("p")), ("chosen", Numbered("c")), ("rejected", Numbered("r")));
        var examples = PreferenceParquet.Read(path, new DataReport(), BadRows.Refuse).ToList();
        Assert.Equal(Numbered("p"), examples.Select(example => example.Prompt));
        Assert.Equal(Numbered("r"), examples.Select(example => example.Completions[1]));
        Assert.Equal($"train.parquet:{count}", examples[^1].Source);
    }

    [Fact]
    public void Columns_are_known_by_other_names_or_named_or_the_rows_refused()
    {
        PreferenceExample Read(string path, params (string Field, string Column)[] columns) => Assert.Single(
            PreferenceParquet.Read(path, new DataReport(), BadRows.Refuse, columns.ToDictionary(column => column.Field, column => column.Column)));

        var orca = Texts("orca.parquet", Compression.Snappy, ("system", ["Be brief."]), ("question", ["Two and two?"]), ("chosen", ["The sum is 4."]), ("rejected", ["The sum is 5."]));
        Assert.Equal("Be brief.\nTwo and two?", Read(orca).Prompt);
        Assert.Equal("Two and two?", Read(orca, ("prompt", "question")).Prompt);
        Assert.Equal("The sum is", Read(orca, ("prompt", "")).Prompt);
        var foreign = Texts("foreign.parquet", Compression.Snappy, ("Frage", ["Zwei und zwei?"]), ("gut", ["vier"]), ("schlecht", ["fünf"]));
        Assert.Equal(("Zwei und zwei?", "vier"), Read(foreign, ("prompt", "Frage"), ("chosen", "gut"), ("rejected", "schlecht")) is var example ? (example.Prompt, example.Completions[0]) : default);
        var e = Assert.Throws<InvalidInputException>(() => Read(foreign, ("prompt", "frage")));
        Assert.Equal($"{foreign}: the file has no column 'frage', which was named; it has 'Frage', 'gut', 'schlecht'.", e.Message);

        var stray = Texts("stray.parquet", Compression.Snappy, ("Frage", ["Zwei und zwei?"]), ("chosen", ["ab"]), ("rejected", ["ac"]));
        var report = new DataReport();
        Assert.Empty(PreferenceParquet.Read(stray, report));
        Assert.StartsWith("read 1 rows; used 0; dropped 1: no field 'prompt', but 'Frage' may be it (", report.ToString(), StringComparison.Ordinal);

        var reviews = Texts("reviews.parquet", Compression.Snappy, ("review", ["fine"]), ("label", ["pos"]));
        Assert.Equal("fine", Assert.Single(ReviewParquet.Read(reviews, new DataReport(), BadRows.Refuse, new Dictionary<string, string> { ["text"] = "review" })).Text);
    }

    [Fact]
    public void A_second_reading_counts_no_row_again()
    {
        var report = new DataReport();
        var examples = PreferenceParquet.Read(Fixture("train_prefs-*.parquet"), report);
        Assert.Equal(5, examples.Count());
        Assert.Equal(5, examples.Count());
        Assert.Equal((7, 2), (report.Read, report.Dropped));
    }

    [Theory]
    [InlineData("p_rebuilt_comparisons.parquet")] // 3 kB that claim 2,000,000,000 rows
    [InlineData("p_thrift_bool_lists_20k.parquet")]
    public void What_a_file_claims_takes_neither_memory_nor_time(string name)
    {
        var clock = Stopwatch.StartNew();
        var before = Environment.WorkingSet;
        Assert.StartsWith($"{Fixture(name)}: the file cannot be read", Refused(Fixture(name)), StringComparison.Ordinal);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
        Assert.InRange(Environment.WorkingSet - before, long.MinValue, 200_000_000);
    }

    [Theory]
    [InlineData(20)]
    [InlineData(40)]
    [InlineData(90_000)]
    [InlineData(200_000)]
    [InlineData(1_000_000)]
    public void Columns_nested_without_end_are_refused_and_end_nothing(int depth)
    {
        var path = folder.File("deep.parquet");
        File.WriteAllBytes(path, Nested(depth));
        var message = Refused(path);
        Assert.Equal(
            depth < 32 ? $"{path}: there is no row that can be read; give rows with "
                : depth < 100_000 ? $"{path}: the file cannot be read as Parquet (its columns are nested more than 32 deep); give a whole Parquet file."
                : $"{path}: the file cannot be read as Parquet (Couldn't deserialize thrift: TProtocolException: Exceeded size limit); give a whole Parquet file.",
            depth < 32 ? message[..(message.IndexOf("with ", StringComparison.Ordinal) + 5)] : message);
    }

    /// <summary>A file without rows whose one column lies in so many groups.</summary>
    private static byte[] Nested(int depth)
    {
        var schema = new List<byte>();
        void Element(int? type, int? repetition, string name, int? children)
        {
            var last = 0;
            void Field(int id, int wire, params IEnumerable<byte> value)
            {
                schema.Add((byte)(((id - last) << 4) | wire));
                schema.AddRange(value);
                last = id;
            }
            if (type is { } physical)
                Field(1, 5, (byte)(2 * physical));
            if (repetition is { } repeated)
                Field(3, 5, (byte)(2 * repeated));
            Field(4, 8, [(byte)name.Length, .. System.Text.Encoding.ASCII.GetBytes(name)]);
            if (children is { } count)
                Field(5, 5, (byte)(2 * count));
            schema.Add(0);
        }
        Element(null, null, "schema", 1);
        for (var group = 0; group < depth; group++)
            Element(null, 1, "prompt", 1);
        Element(6, 1, "x", null);
        var size = new List<byte>();
        for (var rest = depth + 2; ; rest >>= 7)
        {
            size.Add((byte)(rest < 0x80 ? rest : (rest & 0x7F) | 0x80));
            if (rest < 0x80)
                break;
        }
        byte[] footer = [0x15, 2, 0x19, 0xFC, .. size, .. schema, 0x16, 0, 0x19, 0x0C, 0];
        return [.. "PAR1"u8, .. footer, .. BitConverter.GetBytes(footer.Length), .. "PAR1"u8];
    }

    [Fact]
    public void Values_that_are_the_same_make_no_more_of_a_file_than_gzip_would()
    {
        string[] Same(string text) => [.. Enumerable.Repeat(text, 100_000)];
        var path = Texts("same.parquet", Compression.Zstd, ("prompt", Same(new string('p', 2000))), ("chosen", Same("a")), ("rejected", Same("b")));
        Assert.InRange(new FileInfo(path).Length, 1, 60_000);
        Assert.Matches(
            "^.*same.parquet: the file cannot be read on behind row [0-9]+ \\(its rows hold more than 1,000 times as much as its bytes\\); write it as JSON Lines\\.$",
            Refused(path));
    }

    /// <summary>Numbers written as differences say themselves how many there are. Where they may be null, Arrow gives no more than those,
    /// and is content.</summary>
    [Fact]
    public void A_page_with_fewer_values_than_entries_is_refused()
    {
        const int count = 100; // a varint of one byte, of which 0x64 is
        var path = folder.File("scored.parquet");
        using (var properties = new WriterPropertiesBuilder().DisableDictionary("score_chosen").Encoding("score_chosen", Encoding.DeltaBinaryPacked)
            .Compression(Compression.Uncompressed).Build())
        using (var file = new ParquetFileWriter(path,
            [new Column<string>("prompt"), new Column<string>("chosen"), new Column<string>("rejected"), new Column<int?>("score_chosen"), new Column<int?>("score_rejected")],
            properties))
        {
            using var group = file.AppendRowGroup();
            foreach (var text in (string[])["p", "c", "r"])
                using (var writer = group.NextColumn().LogicalWriter<string>())
                    writer.WriteBatch([.. Enumerable.Range(0, count).Select(index => $"{text}{index}")]);
            foreach (var first in (int[])[1000, 500])
                using (var writer = group.NextColumn().LogicalWriter<int?>())
                    writer.WriteBatch([.. Enumerable.Range(0, count).Select(index => (int?)(first + index))]);
            file.Close();
        }
        var scores = PreferenceParquet.Read(path, new DataReport(), BadRows.Refuse).Select(example => example.Scores![0]);
        Assert.Equal(Enumerable.Range(1000, count).Select(score => (float)score), scores);

        // Blocks of 128 in 4 parts, and the number of values.
        byte[] header = [0x80, 1, 4, count];
        var bytes = File.ReadAllBytes(path);
        bytes[bytes.AsSpan().IndexOf(header) + 3]--;
        File.WriteAllBytes(path, bytes);
        Assert.Equal(
            $"{path}: the file cannot be read on in its row group 1 (the column 'score_chosen' has pages that do not hold its entries); give a whole Parquet file.",
            Refused(path));
    }

    [Fact]
    public void A_list_of_nothing_without_end_is_refused()
    {
        var path = folder.File("nulls.parquet");
        using (var file = new ParquetFileWriter(path, [new Column<string>("prompt"), new Column<string?[]>("completions")]))
        {
            using (var group = file.AppendRowGroup())
            {
                using (var writer = group.NextColumn().LogicalWriter<string>())
                    writer.WriteBatch(["p"]);
                using (var writer = group.NextColumn().LogicalWriter<string?[]>())
                    writer.WriteBatch([new string?[20_000_000]]);
            }
            file.Close();
        }
        Assert.InRange(new FileInfo(path).Length, 1, 100_000);
        Assert.Equal(
            $"{path}: the file cannot be read on at row 1 (the column 'completions' has a row of more than 67,108,864 bytes); give a whole Parquet file.",
            Refused(path));
    }

    [Fact]
    public void Pages_that_swell_in_every_column_are_refused_at_a_bound()
    {
        var path = folder.File("swollen.parquet");
        string[] names = ["prompt", "chosen", "rejected", "score_chosen", "score_rejected"];
        using (var file = new ParquetFileWriter(path, [.. names.Select(name => (Column)new Column<byte[]>(name))], Compression.Zstd))
        {
            using (var group = file.AppendRowGroup())
            {
                var text = new byte[100_000_000];
                foreach (var _ in names)
                {
                    using var writer = group.NextColumn().LogicalWriter<byte[]>();
                    writer.WriteBatch([text]);
                }
            }
            file.Close();
        }
        Assert.InRange(new FileInfo(path).Length, 1, 200_000);
        Assert.Equal(
            $"{path}: the file cannot be read on in its row group 1 (its pages take more than 268,435,456 bytes of memory); give a whole Parquet file.",
            Refused(path));
    }

    [Fact]
    public void A_text_longer_than_any_row_is_refused()
    {
        var path = Texts("long.parquet", Compression.Zstd, ("prompt", [new string('p', 70_000_000)]), ("chosen", ["a"]), ("rejected", ["b"]));
        Assert.InRange(new FileInfo(path).Length, 1, 100_000);
        Assert.Equal(
            $"{path}: the file cannot be read on at row 1 (a text has more than 67,108,864 bytes); give a whole Parquet file.", Refused(path));
    }

    /// <summary>A footer of 77 rows that was made to say 76: the file's count comes first in it, and the row group's last.</summary>
    [Fact]
    public void Rows_that_a_footer_does_not_count_are_not_left_out_in_silence()
    {
        string[] Numbered(string text) => [.. Enumerable.Range(0, 77).Select(index => $"{text} {index}")];
        var path = Texts("short.parquet", Compression.Uncompressed, ("prompt", Numbered("p")), ("chosen", Numbered("c")), ("rejected", Numbered("r")));
        var bytes = File.ReadAllBytes(path);
        var footer = bytes.AsSpan(bytes.Length - 8 - BitConverter.ToInt32(bytes, bytes.Length - 8));
        ReadOnlySpan<byte> count = [0x16, 0x9A, 0x01];
        footer[footer.IndexOf(count) + 1] = footer[footer.LastIndexOf(count) + 1] = 0x98;
        File.WriteAllBytes(path, bytes);
        Assert.Equal(
            $"{path}: the file cannot be read on behind row 76 (the row group 1 has entries of further rows); fetch it anew.", Refused(path));
    }

    [Fact]
    public void A_pipe_is_no_data()
    {
        if (OperatingSystem.IsWindows())
            return;
        var path = folder.File("pipe.parquet");
        using (var make = Process.Start("mkfifo", path))
            make.WaitForExit();
        Assert.Equal($"{path} is a pipe or a device, which has no length; give a regular file.", Refused(path));
    }
}
