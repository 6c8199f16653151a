using System.Globalization;

namespace Dpo.Tests;

public class MetricsTableTests
{
    private static TrainingMetrics Step(int step, params (string Name, double Value)[] values) =>
        new(step, 3, values.ToDictionary(value => value.Name, value => value.Value), TimeSpan.FromSeconds(step));

    /// <summary>The fields of RFC 4180, read without the writer's help.</summary>
    private static List<List<string>> Parse(string text)
    {
        var (rows, row, field, quoted) = (new List<List<string>>(), new List<string>(), "", false);
        for (var at = 0; at < text.Length; at++)
        {
            if (quoted && text[at] == '"' && at + 1 < text.Length && text[at + 1] == '"')
                field += text[at++];
            else if (text[at] == '"')
                quoted = !quoted;
            else if (quoted)
                field += text[at];
            else if (text[at] == ',')
                (_, field) = (Added(row, field), "");
            else if (text[at] == '\r' && text[at + 1] == '\n')
            {
                rows.Add(Added(row, field));
                (row, field) = ([], "");
                at++;
            }
            else
                field += text[at];
        }
        Assert.Equal((0, ""), (row.Count, field));
        return rows;

        static List<string> Added(List<string> row, string field)
        {
            row.Add(field);
            return row;
        }
    }

    [Fact]
    public void Numbers_read_back_to_the_bit_in_any_culture_and_later_metrics_become_columns()
    {
        using var folder = new TemporaryFolder();
        var culture = CultureInfo.CurrentCulture;
        var other = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        other.NumberFormat.NumberDecimalSeparator = ",";
        CultureInfo.CurrentCulture = other;
        try
        {
            using var table = new MetricsFile(folder.File("run"));
            table.Report(Step(1, ("loss", 0.1 + 0.2), ("rewards/chosen", -1e-7)));
            Assert.Equal("step,loss,rewards/chosen\r\n1,0.30000000000000004,-1e-07\r\n", ReadShared(folder.File("run/metrics.csv")));
            table.Report(Step(2, ("loss", 1.5), ("rewards/chosen", double.PositiveInfinity), ("eval_loss", 0.25), ("a \"name\", of sorts\r\n", 3)));
            table.Report(Step(3, ("loss", double.NaN), ("eval_loss", 1234567.125)));
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
        var rows = Parse(File.ReadAllText(folder.File("run/metrics.csv")));
        Assert.Equal(["step", "loss", "rewards/chosen", "eval_loss", "a \"name\", of sorts\r\n"], rows[0]);
        Assert.Equal(
            [
                [1, 0.1 + 0.2, -1e-7, null, null],
                [2, 1.5, double.PositiveInfinity, 0.25, 3],
                [3, double.NaN, null, 1234567.125, null],
            ],
            rows.Skip(1).Select(row => row.Select(text => text == "" ? (double?)null : double.Parse(text, CultureInfo.InvariantCulture)).ToArray()));
    }

    [Fact]
    public void A_run_replaces_the_table_of_an_older_one()
    {
        using var folder = new TemporaryFolder();
        folder.Write("metrics.csv", "something else, and long enough to be seen");
        new MetricsFile(folder.Path).Dispose();
        Assert.Equal("something else, and long enough to be seen", File.ReadAllText(folder.File("metrics.csv"))); // nothing was reported yet
        using (var table = new MetricsFile(folder.Path))
            table.Report(Step(1, ("loss", 0.5)));
        Assert.Equal("step,loss\r\n1,0.5\r\n", File.ReadAllText(folder.File("metrics.csv")));
    }

    /// <summary>At every step, whatever the interrupted run wrote past the checkpoint, and whatever became of the table.</summary>
    [Fact]
    public void A_resumed_run_goes_on_with_the_table_to_the_byte()
    {
        using var folder = new TemporaryFolder();
        var checkpoints = CheckpointsUpTo(folder, 4);
        (string, double)[] Values(int step) =>
            [("loss", 1.0 / step), .. step % 2 == 0 ? new[] { ("eval \"a\",\r\n", double.NaN) } : [], .. step == 3 ? [("late", -1e-7)] : Array.Empty<(string, double)>()];
        var written = new List<string> { "" };
        using (var whole = new MetricsFile(folder.File("whole")))
        {
            for (var step = 1; step <= 4; step++)
            {
                whole.Report(Step(step, Values(step)));
                written.Add(ReadShared(folder.File("whole/metrics.csv")));
            }
        }
        Assert.Equal("step,loss,\"eval \"\"a\"\",\r\n\",late\r\n1,1,,\r\n2,0.5,NaN,\r\n3,0.3333333333333333,,-1e-07\r\n4,0.25,NaN,\r\n", written[4]);
        var lines = File.ReadAllText(folder.File("whole/metrics.jsonl"));
        for (var step = 1; step <= 4; step++)
        {
            // A run killed after its fourth step, or before it wrote that row, or while it did; and a table of something else, or none.
            foreach (var left in (string?[])[written[4], written[3], written[4][..^3], "of someone else\r\n1\r\n", null])
            {
                folder.Write("metrics.jsonl", lines);
                if (left is null)
                    File.Delete(folder.File("metrics.csv"));
                else
                    folder.Write("metrics.csv", left);
                using var table = new MetricsFile(folder.Path, Checkpoints.LastReportedStep(checkpoints[step]));
                Assert.Equal(left, File.Exists(folder.File("metrics.csv")) ? ReadShared(folder.File("metrics.csv")) : null); // as it was until a step is reported
                for (var next = step + 1; next <= 4; next++)
                {
                    table.Report(Step(next, Values(next)));
                    Assert.Equal(written[next], ReadShared(folder.File("metrics.csv")));
                }
            }
        }
    }

    /// <summary>Rows are not kept: a hundred thousand of them, with a column that comes late, are written in little memory.</summary>
    [Fact]
    public void The_length_of_a_run_takes_no_memory()
    {
        const int Steps = 100_000;
        using var folder = new TemporaryFolder();
        using var table = new MetricsFile(folder.Path);
        var values = Enumerable.Range(0, 10).Select(index => ($"metric {index}", index + 0.1)).ToArray();
        table.Report(Step(1, values));
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var step = 2; step <= Steps; step++)
            table.Report(Step(step, step == Steps ? [.. values, ("late", 1)] : values));
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 1 << 20);
        Assert.EndsWith(",1\r\n", ReadShared(folder.File("metrics.csv")), StringComparison.Ordinal);
        Assert.Equal(Steps + 1, File.ReadLines(folder.File("metrics.csv")).Count());
    }

    /// <summary>Nor are they while the file is written anew, because of a column that comes late.</summary>
    [Fact]
    public void A_column_that_comes_late_takes_no_memory_for_the_rows_before()
    {
        const int Steps = 20_000;
        using var folder = new TemporaryFolder();
        using (var file = new MetricsFile(folder.Path))
        {
            for (var step = 1; step <= Steps; step++)
                file.Report(Step(step, ("loss", step + 0.1), ("grad_norm", step + 0.2), ("rewards/margins", step + 0.3)));
            file.Report(Step(Steps + 1, ("late", 1)));
        }
        using var table = new MetricsTable(folder.File("metrics.csv"), folder.File("metrics.jsonl"));
        var (before, peak) = (GC.GetTotalMemory(forceFullCollection: true), 0L);
        table.WriteTo(new WatchedStream(Stream.Null, () => peak = Math.Max(peak, GC.GetTotalMemory(forceFullCollection: true))));
        Assert.InRange(peak - before, 1, 1 << 20);
        Assert.Equal($"{Steps},{Steps}.1,{Steps}.2,{Steps}.3,", File.ReadLines(folder.File("metrics.csv")).ElementAt(Steps));
    }

    [Fact]
    public void A_table_that_is_taken_away_is_told()
    {
        using var folder = new TemporaryFolder();
        using var file = new MetricsFile(folder.Path);
        file.Report(Step(1, ("loss", 1)));
        File.Delete(folder.File("metrics.csv"));
        Assert.Equal(
            $"{folder.File("metrics.csv")} was removed, renamed or replaced while the run wrote to it; leave the folder where it is until the run ends.",
            Assert.Throws<IOException>(() => file.Report(Step(2, ("loss", 1)))).Message);
        Assert.False(File.Exists(folder.File("metrics.csv")));
    }

    /// <summary>Checkpoints of the steps, with nothing in them but how far a run was.</summary>
    internal static string[] CheckpointsUpTo(TemporaryFolder folder, int steps) =>
    [
        .. Enumerable.Range(0, steps + 1).Select(step =>
            CheckpointFolder.Write(folder.Path, new(CheckpointState.CurrentVersion, new(step), 0, new Dictionary<string, string>(), new Dictionary<string, string>()), _ => { })),
    ];

    private static string ReadShared(string path)
    {
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return reader.ReadToEnd();
    }

    /// <summary>Looks at the memory at every fiftieth piece that is written: a look takes some milliseconds.</summary>
    private sealed class WatchedStream(Stream inner, Action look) : PassingStream(inner)
    {
        private int pieces;

        protected override void Passing(int bytes)
        {
            if (++pieces % 50 == 0)
                look();
        }
    }
}
