using System.IO.Compression;

namespace Dpo;

/// <summary>
/// Reads a file line by line, as bytes, one line in memory at a time. A file named <c>*.gz</c> is decompressed on the way.
/// Lines end with LF or CRLF; a byte order mark is passed over.
/// </summary>
internal sealed class LineReader : IDisposable
{
    private readonly string _path;
    private readonly int _longest;
    private readonly Stream _stream;
    private bool _sealed;
    private byte[] _buffer;
    private int _start;
    private int _end;

    /// <summary>Opens the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="longest">The most bytes a line may have; 64 MiB keeps a file that is no lines at all out of memory.</param>
    public LineReader(string path, int longest = 64 << 20)
    {
        _path = path;
        _longest = longest;
        _buffer = new byte[Math.Min(longest + 1, 1 << 16)];
        try
        {
            _stream = File.OpenRead(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{path}: the file cannot be opened ({e.Message})", e);
        }
        if (path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase))
        {
            _stream = new GZipStream(new SealedGzip(_stream), CompressionMode.Decompress);
            _sealed = true;
        }
    }

    /// <summary>The number of the current line, from 1.</summary>
    public int Number { get; private set; }

    /// <summary>The current line without its end. Valid until the next call of <see cref="Next"/>.</summary>
    public ReadOnlyMemory<byte> Line { get; private set; }

    /// <summary>Goes on to the next line; false at the end of the file.</summary>
    public bool Next()
    {
        Number++;
        var searched = 0;
        while (true)
        {
            var newline = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                Take(searched + newline);
                _start++;
                return true;
            }
            searched = _end - _start;
            if (Fill())
                continue;
            var rest = _end - _start;
            Take(rest);
            return rest > 0;
        }
    }

    public void Dispose() => _stream.Dispose();

    private void Take(int length)
    {
        var line = _buffer.AsMemory(_start, length);
        _start += length;
        if (Number == 1 && line.Span.StartsWith("\uFEFF"u8))
            line = line[3..];
        Line = line.Span is [.., (byte)'\r'] ? line[..^1] : line;
    }

    private void BreakSeal()
    {
        if (_end == 0 || _buffer[_end - 1] != SealedGzip.Seal)
            throw new InvalidDataException("the compressed file is cut off");
        _end--;
        _sealed = false;
    }

    private bool Fill()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        (_start, _end) = (0, _end - _start);
        if (_end == _buffer.Length)
        {
            if (_end > _longest)
            {
                throw new InvalidInputException(
                    $"{_path}:{Number}: the line is longer than {_longest:N0} bytes; give a file with one row a line.");
            }
            Array.Resize(ref _buffer, (int)Math.Min(_longest + 1, 2L * _end));
        }
        try
        {
            var read = _stream.Read(_buffer, _end, _buffer.Length - _end);
            _end += read;
            if (read == 0 && _sealed)
                BreakSeal();
            return read > 0;
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            throw new InvalidInputException($"{_path}:{Number}: the file cannot be read on ({e.Message})", e);
        }
    }
}
