using System.Buffers.Binary;
using System.Text;
using Dpo.Files;
using Microsoft.Win32.SafeHandles;

namespace Dpo.Weights;

/// <summary>Bytes of a file that are one entry of the zip archive it is, stored as they are.</summary>
internal readonly record struct ZipEntry(long Position, long Length);

/// <summary>
/// Where the entries of a zip archive lie (APPNOTE.TXT, with the 64-bit records), so that they can be read in place. .NET's own
/// reader gives streams without a position. PyTorch stores entries uncompressed; anything else is refused.
/// </summary>
internal static class ZipDirectory
{
    private const uint EndSignature = 0x06054b50;
    private const uint End64Signature = 0x06064b50;
    private const uint Locator64Signature = 0x07064b50;
    private const uint EntrySignature = 0x02014b50;
    private const uint LocalSignature = 0x04034b50;
    private const int EndLength = 22;
    private const int LocatorLength = 20;
    private const int End64Length = 56;
    private const int EntryLength = 46;
    private const int LocalLength = 30;
    private const int MaximumLength = 16 << 20; // a hundred thousand entries
    private const int LongestComment = ushort.MaxValue;

    /// <summary>The entries by name, checked to lie inside the file; <paramref name="path"/> is for messages.</summary>
    public static Dictionary<string, ZipEntry> Read(SafeFileHandle file, string path)
    {
        var fileLength = RandomAccess.GetLength(file);
        var (start, length) = Find(file, path, fileLength);
        // Allocated only now that the file is known to hold as much.
        if (start < 0 || length < 0 || start > fileLength - length || length > MaximumLength)
            throw Damaged(path, $"its directory of {length} bytes from byte {start} on is not inside its {fileLength}");
        ReadOnlySpan<byte> directory = Bytes(file, path, start, (int)length);
        var entries = new Dictionary<string, ZipEntry>(StringComparer.Ordinal);
        while (!directory.IsEmpty)
        {
            if (directory.Length < EntryLength || UInt32(directory, 0) != EntrySignature)
                throw Damaged(path, "its directory is cut or overwritten");
            var (nameLength, extraLength, commentLength) = (UInt16(directory, 28), UInt16(directory, 30), UInt16(directory, 32));
            if (directory.Length < EntryLength + nameLength + extraLength + commentLength)
                throw Damaged(path, "its directory is cut or overwritten");
            var name = Encoding.UTF8.GetString(directory.Slice(EntryLength, nameLength));
            var extra = directory.Slice(EntryLength + nameLength, extraLength);
            if ((UInt16(directory, 8) & 1) != 0 || UInt16(directory, 10) != 0)
                throw new InvalidInputException(
                    $"{path}: the entry \"{name}\" is compressed or encrypted, which torch.save does not do; save the weights " +
                    "anew.");
            var entry = Locate(file, path, name, fileLength, Sizes(path, directory, extra));
            if (!entries.TryAdd(name, entry))
                throw Damaged(path, $"it has the entry \"{name}\" twice");
            directory = directory[(EntryLength + nameLength + extraLength + commentLength)..];
        }
        return entries;
    }

    /// <summary>Finds the directory by the record at the end of the file, which may have a comment behind it.</summary>
    private static (long Start, long Length) Find(SafeFileHandle file, string path, long fileLength)
    {
        var tailLength = (int)Math.Min(fileLength, EndLength + LongestComment);
        ReadOnlySpan<byte> tail = Bytes(file, path, fileLength - tailLength, tailLength);
        var end = tailLength - EndLength;
        while (end >= 0 && !(UInt32(tail, end) == EndSignature && end + EndLength + UInt16(tail, end + 20) == tailLength))
            end--;
        if (end < 0)
            throw Damaged(path, "the directory at its end is missing");
        var (length, start) = (UInt32(tail, end + 12), UInt32(tail, end + 16));
        if (length != uint.MaxValue && start != uint.MaxValue && UInt16(tail, end + 10) != ushort.MaxValue)
            return (start, length);
        if (end < LocatorLength || UInt32(tail, end - LocatorLength) != Locator64Signature)
            throw Damaged(path, "the 64-bit record of its directory is missing");
        var end64 = Int64(tail, end - LocatorLength + 8);
        if (end64 < 0 || end64 > fileLength - End64Length)
            throw Damaged(path, "the 64-bit record of its directory is not inside it");
        ReadOnlySpan<byte> record = Bytes(file, path, end64, End64Length);
        if (UInt32(record, 0) != End64Signature)
            throw Damaged(path, "the 64-bit record of its directory is missing");
        return (Int64(record, 48), Int64(record, 40));
    }

    /// <summary>The length of an entry and the place of its local header; the 64-bit extra field has what does not fit.</summary>
    private static (long Length, long Header) Sizes(string path, ReadOnlySpan<byte> entry, ReadOnlySpan<byte> extra)
    {
        var (stored, length, header) = ((long)UInt32(entry, 20), (long)UInt32(entry, 24), (long)UInt32(entry, 42));
        while (extra.Length >= 4)
        {
            var (id, fieldLength) = (UInt16(extra, 0), UInt16(extra, 2));
            if (fieldLength > extra.Length - 4)
                throw Damaged(path, "an extra field of its directory is cut");
            if (id == 1)
            {
                var field = extra.Slice(4, fieldLength);
                length = Next(length, ref field);
                stored = Next(stored, ref field);
                header = Next(header, ref field);
            }
            extra = extra[(4 + fieldLength)..];
        }
        return stored == length ? (length, header) : throw Damaged(path, "an entry has two different lengths");

        long Next(long value, ref ReadOnlySpan<byte> field)
        {
            if (value != uint.MaxValue)
                return value;
            if (field.Length < 8)
                throw Damaged(path, "an extra field of its directory is cut");
            value = Int64(field, 0);
            field = field[8..];
            return value;
        }
    }

    private static ZipEntry Locate(
        SafeFileHandle file, string path, string name, long fileLength, (long Length, long Header) sizes)
    {
        if (sizes.Header < 0 || sizes.Header > fileLength - LocalLength)
            throw Damaged(path, $"the entry \"{name}\" is not inside it");
        ReadOnlySpan<byte> local = Bytes(file, path, sizes.Header, LocalLength);
        if (UInt32(local, 0) != LocalSignature)
            throw Damaged(path, $"the entry \"{name}\" is not where its directory says");
        var position = sizes.Header + LocalLength + UInt16(local, 26) + UInt16(local, 28);
        if (sizes.Length < 0 || position > fileLength - sizes.Length)
            throw Damaged(path, $"the entry \"{name}\" is not inside it");
        return new ZipEntry(position, sizes.Length);
    }

    private static byte[] Bytes(SafeFileHandle file, string path, long position, int length)
    {
        var bytes = new byte[length];
        return file.ReadUpTo(bytes, position) == length ? bytes : throw Damaged(path, "it ended while its directory was read");
    }

    private static ushort UInt16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long Int64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);

    private static InvalidInputException Damaged(string path, string problem) =>
        new($"{path} is truncated or damaged: {problem}. Download or save it again.");
}
