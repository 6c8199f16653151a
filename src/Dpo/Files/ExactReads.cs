using Microsoft.Win32.SafeHandles;

namespace Dpo.Files;

/// <summary>Reads from places in files: one call may give less than was asked for.</summary>
internal static class ExactReads
{
    /// <summary>Fills <paramref name="bytes"/> from a place in a file, as far as the file goes.</summary>
    /// <returns>How many were filled.</returns>
    public static int ReadUpTo(this SafeFileHandle file, Span<byte> bytes, long offset)
    {
        var done = 0;
        while (done < bytes.Length && RandomAccess.Read(file, bytes[done..], offset + done) is > 0 and var read)
            done += read;
        return done;
    }

    /// <summary>Fills <paramref name="bytes"/> from a place in a file.</summary>
    /// <exception cref="EndOfStreamException">The file ends before.</exception>
    public static void ReadExactly(this SafeFileHandle file, Span<byte> bytes, long offset)
    {
        if (file.ReadUpTo(bytes, offset) < bytes.Length)
            throw new EndOfStreamException("it was cut off");
    }
}
