using Microsoft.Win32.SafeHandles;

namespace Dpo.Files;

/// <summary>Reads from places in files.</summary>
internal static class ExactReads
{
    /// <summary>Fills <paramref name="bytes"/> from a place in a file.</summary>
    /// <exception cref="EndOfStreamException">The file ends before.</exception>
    public static void ReadExactly(this SafeFileHandle file, Span<byte> bytes, long offset)
    {
        for (int read; bytes.Length > 0; bytes = bytes[read..], offset += read)
        {
            if ((read = RandomAccess.Read(file, bytes, offset)) == 0)
                throw new EndOfStreamException("it was cut off");
        }
    }
}
