using System.Buffers.Binary;

namespace Dpo.Training.Metrics;

/// <summary>TensorBoard's event files as they lie on the disk: records of a length, its checksum, the event and its
/// checksum.</summary>
internal static class EventFile
{
    private const int LengthBytes = sizeof(long), ChecksumBytes = sizeof(uint);

    /// <summary>An event that is of a step begins with its time and its step; the longest number takes ten bytes.</summary>
    private const int HeadBytes = 1 + sizeof(double) + 1 + 10;

    /// <summary>Cuts off a file's events of steps after the last that stays. They are in the order of the steps. What is no whole
    /// record ends the file for TensorBoard too, and stays.</summary>
    public static void Cut(string path, int lastStep)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Span<byte> head = stackalloc byte[LengthBytes + ChecksumBytes + HeadBytes];
        for (long start = 0; start < stream.Length;)
        {
            stream.Position = start;
            var read = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            if (read < LengthBytes)
                return;
            var length = BinaryPrimitives.ReadInt64LittleEndian(head);
            var rest = stream.Length - start - LengthBytes - (2 * ChecksumBytes);
            if (length < 0 || length > rest)
                return;
            var content = head[(LengthBytes + ChecksumBytes)..read];
            if (StepOf(content[..(int)Math.Min(length, content.Length)]) > lastStep)
            {
                stream.SetLength(start);
                return;
            }
            start += LengthBytes + ChecksumBytes + length + ChecksumBytes;
        }
    }

    /// <summary>The step of an event, which stands behind the time; 0 where none does.</summary>
    private static long StepOf(ReadOnlySpan<byte> content)
    {
        const byte Time = (1 << 3) | 1, Step = (2 << 3) | 0;
        if (content.Length < 2 + sizeof(double) || content[0] != Time || content[1 + sizeof(double)] != Step)
            return 0;
        long step = 0;
        var shift = 0;
        foreach (var part in content[(2 + sizeof(double))..])
        {
            step |= (long)(part & 0x7F) << shift;
            if (part < 0x80 || (shift += 7) > 56)
                break;
        }
        return step;
    }
}
