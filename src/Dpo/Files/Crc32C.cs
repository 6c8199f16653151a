using System.Buffers.Binary;
using System.IO.Hashing;

namespace Dpo.Files;

/// <summary>Checksums of parts of files.</summary>
internal static class Crc32C
{
    /// <summary>The CRC-32C of bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes) => Crc32.HashToUInt32(Crc32ParameterSet.Crc32C, bytes);

    /// <summary>The CRC-32C of a part. What it is of, a number, goes in too, so that one part cannot be taken for
    /// another.</summary>
    public static uint Of(int part, ReadOnlySpan<byte> bytes)
    {
        var checksum = new Crc32(Crc32ParameterSet.Crc32C);
        Span<byte> number = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(number, part);
        checksum.Append(number);
        checksum.Append(bytes);
        return checksum.GetCurrentHashAsUInt32();
    }
}
