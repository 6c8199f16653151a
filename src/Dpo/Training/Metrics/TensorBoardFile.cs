using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using Dpo.Files;
using Dpo.Training.Checkpointing;
using Google.Protobuf;
using Tensorboard;

namespace Dpo.Training.Metrics;

/// <summary>
/// Writes the metrics as TensorBoard shows them: an event file in a folder, which <c>tensorboard --logdir</c> is given. Tags are
/// those that transformers and TRL write: <c>train/loss</c>, <c>train/rewards/chosen</c>, <c>eval/loss</c>, …;
/// beside them <c>pace/tokens_per_second</c> and the rest of <see cref="TrainingPace"/>.
/// </summary>
/// <remarks>
/// <para>A step is one event with its values as scalars, in 32 bits, and the time at which it ended. Every run makes a file of
/// its own, and TensorBoard shows the files of a folder as one run: give every run its folder. So does a run that was resumed:
/// what earlier files say of the steps that are made anew is cut off, and its file begins with the mark of a restart, by which a
/// TensorBoard that has read them leaves it out. A run that begins anew over older files marks them all as left out.</para>
/// <para>TensorBoard reads files in the order of their names, in which the time stands. A file of a clock that was set back, or
/// of the same second, takes a later number, so that the order is that of the starts, and so of the steps.</para>
/// <para>TorchSharp brings a writer too, but its events carry no usable time: 0, or .NET's ticks where TensorBoard reads
/// seconds since 1970, rounded to 32 bits. Its messages are used, each in a TFRecord: length, its checksum, bytes, their
/// checksum.</para>
/// </remarks>
public sealed class TensorBoardFile : IProgress<TrainingMetrics>, IDisposable
{
    /// <summary>The numbers of as many digits as a time in seconds has until the year 2286.</summary>
    private const long MostNumber = 9_999_999_999;

    private const string Prefix = "events.out.tfevents.";

    private readonly string folder;
    private readonly int lastStep;
    private GrowingFile? file;

    /// <summary>Prepares a file in <paramref name="folder"/>, which is made where it is missing; it begins when the first step is
    /// reported.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="lastStep">The step that the run goes on behind (<see cref="Checkpoints.LastReportedStep"/>), or null.</param>
    public TensorBoardFile(string folder, int? lastStep = null)
    {
        this.lastStep = lastStep ?? -1;
        this.folder = folder;
        Directory.CreateDirectory(folder);
    }

    /// <summary>Appends a step; it is in the file when the call returns.</summary>
    /// <exception cref="IOException">It cannot be written, or the file was removed, renamed or replaced.</exception>
    public void Report(TrainingMetrics value)
    {
        ArgumentNullException.ThrowIfNull(value);
        file ??= Begin();
        var scalars = value.Values.Select(metric => (Tag(metric.Key), metric.Value));
        if (value.Pace is { } pace)
            scalars = scalars.Concat(
            [
                ("pace/examples_per_second", pace.ExamplesPerSecond), ("pace/tokens_per_second", pace.TokensPerSecond),
                ("pace/remaining_seconds", pace.Remaining.TotalSeconds), ("pace/peak_memory_bytes", pace.PeakMemoryBytes),
            ]);
        var summary = new Summary();
        foreach (var (tag, number) in scalars)
            summary.Value.Add(new Summary.Types.Value { Tag = tag, SimpleValue = (float)number });
        Append(new Event { WallTime = Seconds(DateTimeOffset.UtcNow), Step = value.Step, Summary = summary });
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file?.Dispose();

    private GrowingFile Begin()
    {
        var now = DateTimeOffset.UtcNow;
        string[] earlier = [.. Directory.GetFiles(folder, Prefix + "*")];
        // Names are compared letter by letter, so the number of digits stays the same.
        var number = earlier.Select(NumberOf).Append(now.ToUnixTimeSeconds() - 1).Max() + 1;
        var name = string.Create(
            CultureInfo.InvariantCulture, $"{Prefix}{number:0000000000}.{Environment.MachineName}.{Environment.ProcessId}");
        file = new GrowingFile(Path.Combine(folder, name));
        Append(new Event { WallTime = Seconds(now), FileVersion = "brain.Event:2" });
        if (earlier.Length == 0)
            return file;
        if (lastStep >= 0)
            Array.ForEach(earlier, path => EventFile.Cut(path, lastStep));
        var restart = new SessionLog { Status = SessionLog.Types.SessionStatus.Start };
        Append(new Event { WallTime = Seconds(now), Step = lastStep + 1, SessionLog = restart });
        return file;
    }

    private static long NumberOf(string path) =>
        long.TryParse(
            Path.GetFileName(path)[Prefix.Length..].Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture,
            out var number)
        && number < MostNumber ? number : 0;

    private static string Tag(string metric) =>
        metric.StartsWith("eval_", StringComparison.Ordinal) ? $"eval/{metric[5..]}" : $"train/{metric}";

    private static double Seconds(DateTimeOffset time) => (time - DateTimeOffset.UnixEpoch).TotalSeconds;

    private void Append(Event record)
    {
        var content = record.ToByteArray();
        // One write, so that whoever reads meanwhile finds whole records.
        var bytes = new byte[sizeof(long) + sizeof(uint) + content.Length + sizeof(uint)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, content.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(sizeof(long)), Checksum(bytes.AsSpan(0, sizeof(long))));
        content.CopyTo(bytes, sizeof(long) + sizeof(uint));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(bytes.Length - sizeof(uint)), Checksum(content));
        file!.Append(bytes);
    }

    /// <summary>TFRecord's: the CRC-32C, turned right by 15 bits, plus a constant.</summary>
    private static uint Checksum(ReadOnlySpan<byte> bytes) => BitOperations.RotateRight(Crc32C.Of(bytes), 15) + 0xa282ead8;
}
