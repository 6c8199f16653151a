using System.Buffers.Binary;
using Google.Protobuf;
using Tensorboard;

namespace Dpo.Training.Metrics;

/// <summary>TensorBoard's event files as they lie on the disk: records of a length, its checksum, the event and its
/// checksum.</summary>
internal static class EventFile
{
    private const int LengthBytes = sizeof(long), ChecksumBytes = sizeof(uint);

    /// <summary>The most bytes of an event that is looked into; one of ours has some hundred.</summary>
    private const int Longest = 1 << 20;

    /// <summary>Cuts off a file's events of steps after the last that stays. They are in the order of the steps. What is no whole
    /// record ends the file for TensorBoard too, and stays.</summary>
    public static void Cut(string path, int lastStep)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Span<byte> head = stackalloc byte[LengthBytes + ChecksumBytes];
        for (long start = 0; start < stream.Length;)
        {
            stream.Position = start;
            if (stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) < head.Length)
                return;
            var length = BinaryPrimitives.ReadInt64LittleEndian(head);
            if (length < 0 || length > stream.Length - start - LengthBytes - (2 * ChecksumBytes))
                return;
            if (length <= Longest && StepOf(stream, (int)length) > lastStep)
            {
                stream.SetLength(start);
                return;
            }
            start += LengthBytes + ChecksumBytes + length + ChecksumBytes;
        }
    }

    /// <summary>The step of an event; 0 where what stands there is none.</summary>
    private static long StepOf(FileStream stream, int length)
    {
        var content = new byte[length];
        stream.ReadExactly(content);
        try
        {
            return Event.Parser.ParseFrom(content).Step;
        }
        catch (InvalidProtocolBufferException)
        {
            return 0;
        }
    }
}
