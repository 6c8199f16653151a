using System.Buffers.Binary;
using System.Collections;
using System.Numerics;
using Microsoft.Win32.SafeHandles;

namespace Dpo;

/// <summary>
/// Tokenized examples in a file, read one by one as they are asked for: <see cref="PreferenceData.Open"/>.
/// </summary>
/// <remarks>
/// The file has, little-endian: <see cref="Magic"/>; the examples, each a CRC-32C and what <see cref="TokenizedExampleRecord"/> writes;
/// for each where it begins, and where the last ends, as int64; how many there are, as int64; and <see cref="Magic"/> again. What is
/// read often stays in the system's cache of files.
/// </remarks>
internal sealed class TokenizedExampleFile : IReadOnlyList<TokenizedExample>
{
    private const int TrailerSize = 16;

    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly long _offsets;

    /// <summary>Opens a file.</summary>
    public TokenizedExampleFile(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        _path = path;
        try
        {
            _file = File.OpenHandle(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{path}: the file cannot be opened ({e.Message})", e);
        }
        var length = RandomAccess.GetLength(_file);
        Span<byte> magic = stackalloc byte[8];
        Span<byte> trailer = stackalloc byte[TrailerSize];
        if (length >= magic.Length + 8 + TrailerSize)
        {
            Read(magic, 0);
            Read(trailer, length - TrailerSize);
        }
        var count = BinaryPrimitives.ReadInt64LittleEndian(trailer);
        if (!magic.SequenceEqual(Magic) || !trailer[8..].SequenceEqual(Magic) || count is < 1 or > int.MaxValue || length < magic.Length + 8 * (count + 1) + TrailerSize)
            throw new InvalidInputException($"{path}: this is no file of tokenized examples, or it was cut off; write it anew with PreferenceData.Write.");
        Count = (int)count;
        _offsets = length - TrailerSize - 8 * (count + 1);
    }

    private static ReadOnlySpan<byte> Magic => "DpoToks1"u8;

    /// <inheritdoc/>
    public int Count { get; }

    /// <inheritdoc/>
    public TokenizedExample this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            Span<byte> place = stackalloc byte[16];
            Read(place, _offsets + 8L * index);
            var (start, end) = (BinaryPrimitives.ReadInt64LittleEndian(place), BinaryPrimitives.ReadInt64LittleEndian(place[8..]));
            if (start < Magic.Length || end > _offsets || end - start is < 4 or > int.MaxValue)
                throw Damaged(index);
            var record = new byte[end - start];
            Read(record, start);
            return BinaryPrimitives.ReadUInt32LittleEndian(record) == Checksum(index, record.AsSpan(4))
                ? TokenizedExampleRecord.Read(record, 4)
                : throw Damaged(index);
        }
    }

    /// <summary>Writes examples.</summary>
    public static void Write(string path, IEnumerable<TokenizedExample> examples)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(examples);
        AtomicFile.Write(path, stream =>
        {
            Span<byte> number = stackalloc byte[8];
            stream.Write(Magic);
            var offsets = new List<long>();
            using var record = new MemoryStream();
            foreach (var example in examples)
            {
                record.SetLength(0);
                TokenizedExampleRecord.Write(record, example);
                var bytes = record.GetBuffer().AsSpan(0, (int)record.Length);
                BinaryPrimitives.WriteUInt32LittleEndian(number, Checksum(offsets.Count, bytes));
                offsets.Add(stream.Position);
                stream.Write(number[..4]);
                stream.Write(bytes);
            }
            if (offsets.Count == 0)
                throw new InvalidInputException($"{path}: there is no example to write; see the counts of dropped rows.");
            foreach (var value in (IEnumerable<long>)[.. offsets, stream.Position, offsets.Count])
            {
                BinaryPrimitives.WriteInt64LittleEndian(number, value);
                stream.Write(number);
            }
            stream.Write(Magic);
        });
    }

    /// <inheritdoc/>
    public IEnumerator<TokenizedExample> GetEnumerator() => Enumerable.Range(0, Count).Select(index => this[index]).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The CRC-32C of an example; its index goes in too, so that one cannot be taken for another.</summary>
    private static uint Checksum(int index, ReadOnlySpan<byte> bytes)
    {
        var checksum = BitOperations.Crc32C(uint.MaxValue, (uint)index);
        for (; bytes.Length >= 8; bytes = bytes[8..])
            checksum = BitOperations.Crc32C(checksum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var value in bytes)
            checksum = BitOperations.Crc32C(checksum, value);
        return ~checksum;
    }

    private void Read(Span<byte> bytes, long offset)
    {
        try
        {
            for (int read; bytes.Length > 0; bytes = bytes[read..], offset += read)
            {
                if ((read = RandomAccess.Read(_file, bytes, offset)) == 0)
                    throw new EndOfStreamException("it was cut off");
            }
        }
        catch (IOException e)
        {
            throw new InvalidInputException($"{_path}: the file cannot be read on ({e.Message}); write it anew with PreferenceData.Write.", e);
        }
    }

    private InvalidInputException Damaged(int index) =>
        new($"{_path}: example {index + 1} of {Count} is damaged; write the file anew with PreferenceData.Write.");
}
