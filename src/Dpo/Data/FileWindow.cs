using System.IO.Compression;
using Dpo.Files;

namespace Dpo.Data;

/// <summary>
/// The bytes of a file through a window that moves on: what is unread of it is in memory, and no more than a row. A file named
/// <c>*.gz</c> is decompressed on the way; a byte order mark is passed over.
/// </summary>
internal sealed class FileWindow : IDisposable
{
    /// <summary>The most bytes of a row: 64 MiB keep a file that has no rows at all out of memory.</summary>
    public const int LongestRow = 64 << 20;

    private readonly int longest;
    private readonly int largest;
    private readonly Stream stream;
    private bool hasBegun;
    private bool isSealed;
    private byte[] buffer;
    private int start;
    private int end;

    /// <summary>Opens the file.</summary>
    public FileWindow(string path, int longest = LongestRow)
    {
        Path = path;
        this.longest = longest;
        stream = RegularFile.OpenRead(path);
        if (path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase))
        {
            stream = new GZipStream(new SealedGzip(stream), CompressionMode.Decompress);
            isSealed = true;
        }
        // A row, its end, and the byte that is held back.
        largest = longest + (isSealed ? 2 : 1);
        buffer = new byte[Math.Min(largest, 1 << 16)];
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The number of the row that is being read, from 1; errors name it.</summary>
    public int Number { get; set; } = 1;

    /// <summary>What is in memory and was not passed. Valid until the next <see cref="Fill"/>.</summary>
    /// <remarks>Of a compressed file the last byte is held back: it may be the seal.</remarks>
    public ReadOnlyMemory<byte> Unread => buffer.AsMemory(start, end - start - (isSealed && end > start ? 1 : 0));

    /// <summary>Passes over bytes.</summary>
    public void Pass(int length) => start += length;

    /// <summary>Reads on, and keeps what is unread; false at the end of the file.</summary>
    /// <exception cref="InvalidInputException">The unread row is too long, or the file cannot be read on.</exception>
    public bool Fill()
    {
        if (hasBegun)
            return Read();
        hasBegun = true;
        while (end < 4 && Read())
        {
        }
        if (Unread.Span.StartsWith("\uFEFF"u8))
            Pass(3);
        return end > 0;
    }

    public void Dispose() => stream.Dispose();

    private bool Read()
    {
        buffer.AsSpan(start, end - start).CopyTo(buffer);
        (start, end) = (0, end - start);
        if (end == buffer.Length)
        {
            if (end == largest)
            {
                throw new InvalidInputException(
                    $"{Path}:{Number}: the row is longer than {longest:N0} bytes; give a file with one row a line, or an array " +
                    "of rows.");
            }
            Array.Resize(ref buffer, (int)Math.Min(largest, 2L * end));
        }
        try
        {
            var read = stream.Read(buffer, end, buffer.Length - end);
            end += read;
            if (read == 0 && isSealed)
                BreakSeal();
            return read > 0;
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            throw new InvalidInputException($"{Path}:{Number}: the file cannot be read on ({e.Message})", e);
        }
    }

    private void BreakSeal()
    {
        if (end == 0 || buffer[end - 1] != SealedGzip.Seal)
            throw new InvalidDataException("the compressed file is cut off");
        end--;
        isSealed = false;
    }
}
