using System.Numerics;
using System.Runtime.InteropServices;

namespace Dpo.Files;

/// <summary>Checksums of parts of files, which most processors compute by an instruction.</summary>
internal static class Crc32C
{
    /// <summary>The CRC-32C of bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes) => ~Append(uint.MaxValue, bytes);

    /// <summary>The CRC-32C of a part. What it is of, a number, goes in too, so that one part cannot be taken for
    /// another.</summary>
    public static uint Of(int part, ReadOnlySpan<byte> bytes) => ~Append(BitOperations.Crc32C(uint.MaxValue, (uint)part), bytes);

    private static uint Append(uint checksum, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= 8; bytes = bytes[8..])
            checksum = BitOperations.Crc32C(checksum, MemoryMarshal.Read<ulong>(bytes));
        foreach (var value in bytes)
            checksum = BitOperations.Crc32C(checksum, value);
        return checksum;
    }
}
