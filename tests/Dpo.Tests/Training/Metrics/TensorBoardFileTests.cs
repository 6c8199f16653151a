using System.Text;
using Tensorboard;

namespace Dpo.Tests;

/// <summary>The file taken apart without the writer's help: a CRC-32C bit by bit, and the parser that protoc made of TensorFlow's
/// event.proto.</summary>
public class TensorBoardFileTests
{
    private static uint Crc32C(IEnumerable<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78u);
        }
        return ~crc;
    }

    private static List<Event> Read(string folder) => ReadFile(Assert.Single(Directory.GetFiles(folder, "events.out.tfevents.*")));

    private static List<Event> ReadFile(string path)
    {
        using var reader = new BinaryReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var events = new List<Event>();
        byte[] Checked(int count)
        {
            var bytes = reader.ReadBytes(count);
            Assert.Equal(count, bytes.Length);
            var crc = Crc32C(bytes);
            Assert.Equal(unchecked(((crc >> 15) | (crc << 17)) + 0xa282ead8), reader.ReadUInt32());
            return bytes;
        }
        while (reader.BaseStream.Position < reader.BaseStream.Length)
            events.Add(Event.Parser.ParseFrom(Checked((int)BitConverter.ToInt64(Checked(8)))));
        return events;
    }

    [Fact]
    public void Every_step_is_an_event_with_its_time_and_scalars_under_transformers_tags()
    {
        Assert.Equal(0xE3069283, Crc32C(Encoding.ASCII.GetBytes("123456789")));
        using var folder = new TemporaryFolder();
        var begin = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        using (var file = new TensorBoardFile(folder.File("run")))
        {
            file.Report(new(1, 70000, new Dictionary<string, double> { ["loss"] = 0.1, ["rewards/chosen"] = -2.5 }, TimeSpan.FromSeconds(1)));
            Assert.Equal(2, Read(folder.File("run")).Count);
            file.Report(new(70000, 70000, new Dictionary<string, double> { ["loss"] = double.NaN, ["eval_loss"] = 0.25, ["eval_rewards/margins"] = 3 }, TimeSpan.Zero)
            {
                Pace = new(12.5, 2000, TimeSpan.FromMinutes(1.5), 1L << 33),
            });
        }
        var events = Read(folder.File("run"));
        Assert.Equal(["brain.Event:2", "", ""], events.Select(e => e.FileVersion));
        Assert.Equal([0L, 1, 70000], events.Select(e => e.Step));
        Assert.All(events, e => Assert.InRange(e.WallTime, begin, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0 + 0.001));
        Assert.Equal([("train/loss", 0.1f), ("train/rewards/chosen", -2.5f)], Scalars(events[1]));
        Assert.Equal(
            [
                ("train/loss", float.NaN), ("eval/loss", 0.25f), ("eval/rewards/margins", 3f), ("pace/examples_per_second", 12.5f),
                ("pace/tokens_per_second", 2000f), ("pace/remaining_seconds", 90f), ("pace/peak_memory_bytes", 8589934592f),
            ],
            Scalars(events[2]));
    }

    private static IEnumerable<(string, float)> Scalars(Event e) => e.Summary.Value.Select(value => (value.Tag, value.SimpleValue));

    [Fact]
    public void Two_files_of_one_second_do_not_meet()
    {
        using var folder = new TemporaryFolder();
        using var first = new TensorBoardFile(folder.Path);
        using var second = new TensorBoardFile(folder.Path);
        Assert.Empty(Directory.GetFiles(folder.Path)); // nothing is touched before there is something to say
        var step = new TrainingMetrics(1, 1, new Dictionary<string, double>(), TimeSpan.Zero);
        second.Report(step);
        first.Report(step);
        Assert.Equal(2, Directory.GetFiles(folder.Path).Length);
    }

    /// <summary>Files of one second, and of a clock that was set back a year, whatever the processes' numbers: the later start is the later name.</summary>
    [Fact]
    public void Files_are_in_the_order_of_their_starts_whatever_the_clock_says()
    {
        using var folder = new TemporaryFolder();
        var future = DateTimeOffset.UtcNow.AddYears(1).ToUnixTimeSeconds();
        folder.Write($"events.out.tfevents.{future}.host.9", "");
        folder.Write("events.out.tfevents.99999999999999999999.host.9", "");
        for (var start = 1; start <= 3; start++)
        {
            using var file = new TensorBoardFile(folder.Path);
            file.Report(new(1, 1, new Dictionary<string, double>(), TimeSpan.Zero));
            Assert.Single(Directory.GetFiles(folder.Path, $"events.out.tfevents.{future + start}.*"));
        }
    }

    [Fact]
    public void A_run_that_begins_anew_marks_older_files_as_left_out()
    {
        using var folder = new TemporaryFolder();
        for (var run = 1; run <= 2; run++)
        {
            using var file = new TensorBoardFile(folder.Path);
            file.Report(new(run, 2, new Dictionary<string, double>(), TimeSpan.Zero));
        }
        var events = Directory.GetFiles(folder.Path).Order(StringComparer.Ordinal).Select(ReadFile).ToArray();
        Assert.Equal([0L, 1], events[0].Select(e => e.Step));
        Assert.Equal([(0L, false), (0, true), (2, false)], events[1].Select(e => (e.Step, e.SessionLog?.Status == SessionLog.Types.SessionStatus.Start)));
    }

    /// <summary>What readers show that know no marks: everything, file by file.</summary>
    [Fact]
    public void Steps_that_are_made_anew_are_cut_off_earlier_files()
    {
        using var folder = new TemporaryFolder();
        var checkpoints = MetricsTableTests.CheckpointsUpTo(folder, 5);
        void Report(string? resumeFrom, int first, int last)
        {
            using var file = new TensorBoardFile(folder.Path, Checkpoints.LastReportedStep(resumeFrom));
            for (var step = first; step <= last; step++)
                file.Report(new(step, 300, new Dictionary<string, double> { ["loss"] = first }, TimeSpan.Zero));
        }
        Report(null, 1, 6);
        Report(checkpoints[5], 6, 200);
        Report(checkpoints[3], 4, 4);
        Report(checkpoints[4], 5, 6);
        Report(checkpoints[5], 6, 7);
        var foreign = folder.Write("events.out.tfevents.1.other", "no event file");
        Report(checkpoints[5], 6, 6);
        Assert.Equal("no event file", File.ReadAllText(foreign));
        File.Delete(foreign);
        var shown = Directory.GetFiles(folder.Path, "events.*").Order(StringComparer.Ordinal).SelectMany(ReadFile).Where(e => e.Summary is not null)
            .Select(e => (e.Step, e.Summary.Value.Single().SimpleValue));
        Assert.Equal([(1L, 1f), (2, 1), (3, 1), (4, 4), (5, 5), (6, 6)], shown);
    }

    [Fact]
    public void A_file_that_is_taken_away_is_told()
    {
        using var folder = new TemporaryFolder();
        using var file = new TensorBoardFile(folder.Path);
        var step = new TrainingMetrics(1, 1, new Dictionary<string, double>(), TimeSpan.Zero);
        file.Report(step);
        var path = Assert.Single(Directory.GetFiles(folder.Path));
        File.Move(path, path + ".old");
        Assert.Equal($"{path} was removed, renamed or replaced while the run wrote to it; leave the folder where it is until the run ends.", Assert.Throws<IOException>(() => file.Report(step)).Message);
    }

    /// <summary>TensorBoard's two rules for a restart: the mark drops the earlier events of its step and of later ones (the reader in
    /// Python), and so does a scalar for its tag (the reader in Rust, since 2.5).</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_steps_that_a_resumed_run_makes_anew_are_shown_once(bool byMark)
    {
        using var folder = new TemporaryFolder();
        var checkpoints = MetricsTableTests.CheckpointsUpTo(folder, 2);
        var files = new List<string>();
        void Report(string? resumeFrom, int first, int last, double loss)
        {
            var before = Directory.GetFiles(folder.Path);
            using (var file = new TensorBoardFile(folder.Path, Checkpoints.LastReportedStep(resumeFrom)))
            {
                for (var step = first; step <= last; step++)
                    file.Report(new(step, 4, new Dictionary<string, double> { ["loss"] = loss }, TimeSpan.Zero));
            }
            files.Add(Assert.Single(Directory.GetFiles(folder.Path).Except(before)));
        }
        Report(null, 1, 4, loss: 1);
        var read = ReadFile(files[0]); // by a TensorBoard that follows the run, before the restart cuts the file
        Report(checkpoints[2], 3, 4, loss: 2);

        var shown = new List<(long Step, float Loss)>();
        foreach (var e in read.Concat(ReadFile(files[1])))
        {
            if (byMark ? e.SessionLog?.Status == SessionLog.Types.SessionStatus.Start : e.Summary is not null)
                shown.RemoveAll(earlier => earlier.Step >= e.Step);
            if (e.Summary is { } summary)
                shown.Add((e.Step, summary.Value.Single().SimpleValue));
        }
        Assert.Equal([(1L, 1f), (2L, 1f), (3L, 2f), (4L, 2f)], shown);
        Assert.Null(ReadFile(files[0]).Find(e => e.SessionLog is not null));
    }

    [Fact]
    public void Progress_tells_all_in_order()
    {
        var told = new List<string>();
        var all = Progress.All(new Teller("a", told), new Teller("b", told));
        all.Report(7);
        Assert.Equal(["a 7", "b 7"], told);
    }

    private sealed class Teller(string name, List<string> told) : IProgress<int>
    {
        public void Report(int value) => told.Add($"{name} {value}");
    }
}
