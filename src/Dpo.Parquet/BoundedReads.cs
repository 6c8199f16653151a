namespace Dpo;

/// <summary>A file of which nothing outside a part can be read: of damaged pages Parquet.Net would read on in those of the next column, in the
/// footer, and at the end of the file for ever.</summary>
internal sealed class BoundedReads(FileStream file) : Stream
{
    private (long Begin, long End) bounds = (0, file.Length);

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    public override long Length => file.Length;

    public override long Position
    {
        get => file.Position;
        set => file.Position = value;
    }

    /// <summary>The part that can be read; at first all of it.</summary>
    public void Limit(long begin, long end) => bounds = (begin, end);

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        if (buffer.Length == 0)
            return 0;
        if (file.Position < bounds.Begin || file.Position >= bounds.End)
            throw new InvalidDataException("its pages end too early");
        return file.Read(buffer[..(int)Math.Min(buffer.Length, bounds.End - file.Position)]);
    }

    public override int ReadByte()
    {
        Span<byte> value = stackalloc byte[1];
        return Read(value) == 0 ? -1 : value[0];
    }

    public override long Seek(long offset, SeekOrigin origin) => file.Seek(offset, origin);

    public override void Flush()
    {
    }

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        file.Dispose();
        base.Dispose(disposing);
    }
}
