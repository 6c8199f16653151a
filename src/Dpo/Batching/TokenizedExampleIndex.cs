using System.Runtime.InteropServices;

namespace Dpo.Batching;

/// <summary>The parts of a file of examples that are not examples. <see cref="TokenizedExampleFile"/> says where they
/// lie.</summary>
internal static class TokenizedExampleIndex
{
    /// <summary>So many examples are followed by their entries, so that what a writer holds does not grow with the
    /// file.</summary>
    public const int BlockSize = 512;

    /// <summary>Bytes at the end: how many examples, where the table begins, the checksum of what lies between, and
    /// <see cref="Magic"/>.</summary>
    public const int TrailerSize = 32;

    /// <summary>Bytes of an <see cref="Entry"/> and of a <see cref="Block"/>.</summary>
    public static readonly int EntrySize = Marshal.SizeOf<Entry>(), BlockEntrySize = Marshal.SizeOf<Block>();

    /// <summary>The file's first and last bytes. All of the first version's, which had no index, differ in the last of
    /// them.</summary>
    public static ReadOnlySpan<byte> Magic => "DpoToks2"u8;

    /// <summary>Where an example lies, and what it is like.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 4)]
    public readonly record struct Entry(long Start, int Length, uint Checksum, ExampleSummary Summary);

    /// <summary>Where the entries of <see cref="BlockSize"/> examples lie, and their checksum.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 4)]
    public readonly record struct Block(long Start, uint Checksum);
}
