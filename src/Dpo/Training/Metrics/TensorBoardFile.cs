using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;
using Dpo.Training.Checkpointing;

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
/// seconds since 1970, rounded to 32 bits. The format is small: a TFRecord (length, its checksum, bytes, their checksum)
/// around a protocol buffer <c>Event</c>.</para>
/// </remarks>
public sealed class TensorBoardFile : IProgress<TrainingMetrics>, IDisposable
{
    // The fields of TensorFlow's event.proto and summary.proto, each number with its wire type.
    private const byte EventWallTime = (1 << 3) | 1, EventStep = (2 << 3) | 0, EventFileVersion = (3 << 3) | 2,
        EventSummary = (5 << 3) | 2, EventSessionLog = (7 << 3) | 2;
    private const byte SummaryValue = (1 << 3) | 2, ValueTag = (1 << 3) | 2, ValueNumber = (2 << 3) | 5;
    private const byte SessionStatus = (1 << 3) | 0, SessionStart = 1;

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
        using var summary = new MemoryStream();
        Span<byte> bits = stackalloc byte[sizeof(float)];
        var scalars = value.Values.Select(metric => (Tag(metric.Key), metric.Value));
        if (value.Pace is { } pace)
            scalars = scalars.Concat(
            [
                ("pace/examples_per_second", pace.ExamplesPerSecond), ("pace/tokens_per_second", pace.TokensPerSecond),
                ("pace/remaining_seconds", pace.Remaining.TotalSeconds), ("pace/peak_memory_bytes", pace.PeakMemoryBytes),
            ]);
        foreach (var (tag, number) in scalars)
        {
            using var scalar = new MemoryStream();
            Text(scalar, ValueTag, tag);
            scalar.WriteByte(ValueNumber);
            BinaryPrimitives.WriteSingleLittleEndian(bits, (float)number);
            scalar.Write(bits);
            Bytes(summary, SummaryValue, scalar.ToArray());
        }
        Append(DateTimeOffset.UtcNow, value.Step, record => Bytes(record, EventSummary, summary.ToArray()));
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file?.Dispose();

    private GrowingFile Begin()
    {
        var now = DateTimeOffset.UtcNow;
        string[] earlier = [.. Directory.GetFiles(folder, Prefix + "*")];
        // Names are compared letter by letter, so the number of digits stays the same.
        var number = earlier.Select(NumberOf).Append(now.ToUnixTimeSeconds() - 1).Max() + 1;
        file = new GrowingFile(Path.Combine(
            folder, string.Create(
                CultureInfo.InvariantCulture,
                $"{Prefix}{number:0000000000}.{Environment.MachineName}.{Environment.ProcessId}")));
        Append(now, 0, record => Text(record, EventFileVersion, "brain.Event:2"));
        if (earlier.Length == 0)
            return file;
        if (lastStep >= 0)
            Array.ForEach(earlier, path => EventFile.Cut(path, lastStep));
        Append(now, lastStep + 1, record => Bytes(record, EventSessionLog, [SessionStatus, SessionStart]));
        return file;
    }

    private static long NumberOf(string path) =>
        long.TryParse(
            Path.GetFileName(path)[Prefix.Length..].Split('.')[0],
            NumberStyles.None, CultureInfo.InvariantCulture, out var number)
        && number < MostNumber
            ? number
            : 0;

    private static string Tag(string metric) =>
        metric.StartsWith("eval_", StringComparison.Ordinal) ? $"eval/{metric[5..]}" : $"train/{metric}";

    private void Append(DateTimeOffset time, int step, Action<Stream> content)
    {
        using var record = new MemoryStream();
        Span<byte> number = stackalloc byte[sizeof(double)];
        record.WriteByte(EventWallTime);
        BinaryPrimitives.WriteDoubleLittleEndian(number, (time - DateTimeOffset.UnixEpoch).TotalSeconds);
        record.Write(number);
        record.WriteByte(EventStep);
        Varint(record, step);
        content(record);

        // One write, so that whoever reads meanwhile finds whole records.
        var bytes = new byte[sizeof(long) + sizeof(uint) + record.Length + sizeof(uint)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, record.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(sizeof(long)), Checksum(bytes.AsSpan(0, sizeof(long))));
        record.ToArray().CopyTo(bytes, sizeof(long) + sizeof(uint));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(bytes.Length - sizeof(uint)), Checksum(record.ToArray()));
        file!.Append(bytes);
    }

    /// <summary>TFRecord's: the CRC-32C, turned right by 15 bits, plus a constant.</summary>
    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return BitOperations.RotateRight(~crc, 15) + 0xa282ead8;
    }

    private static void Text(Stream to, byte field, string text) => Bytes(to, field, Encoding.UTF8.GetBytes(text));

    private static void Bytes(Stream to, byte field, byte[] bytes)
    {
        to.WriteByte(field);
        Varint(to, bytes.Length);
        to.Write(bytes);
    }

    private static void Varint(Stream to, int number)
    {
        for (; number >= 0x80; number >>= 7)
            to.WriteByte((byte)(number | 0x80));
        to.WriteByte((byte)number);
    }
}
