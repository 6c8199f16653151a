namespace Dpo.Data;

/// <summary>
/// A gzip file with one more gzip member behind it, which decompresses to the single byte <see cref="Seal"/>.
/// </summary>
/// <remarks>
/// .NET's GZipStream ends without a word where a file was cut off, say by a broken download, and a run would train on a part of
/// the data. The seal comes out at the end only where every member before it was whole; it is a byte that no UTF-8 holds.
/// </remarks>
internal sealed class SealedGzip(Stream file) : Stream
{
    public const byte Seal = 0xFF;

    private readonly MemoryStream member = new(
    [
        0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, // header: deflate, no name, no time
        1, 1, 0, 0xFE, 0xFF, Seal, // the last block, stored, of one byte
        0, 0, 0, 0xFF, 1, 0, 0, 0, // CRC-32 and length of that byte
    ]);

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        var read = file.Read(buffer, offset, count);
        return read > 0 ? read : member.Read(buffer, offset, count);
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        file.Dispose();
        base.Dispose(disposing);
    }
}
