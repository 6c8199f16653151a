namespace Dpo.Data;

/// <summary>Reads a file line by line, as bytes, one line in memory at a time. Lines end with LF or CRLF.</summary>
/// <param name="window">The file, which is read from where it stands.</param>
internal sealed class LineReader(FileWindow window)
{
    /// <summary>The number of the current line, from 1.</summary>
    public int Number { get; private set; }

    /// <summary>The current line without its end. Valid until the next call of <see cref="Next"/>.</summary>
    public ReadOnlyMemory<byte> Line { get; private set; }

    /// <summary>Goes on to the next line; false at the end of the file.</summary>
    public bool Next()
    {
        window.Number = ++Number;
        var searched = 0;
        while (true)
        {
            var newline = window.Unread.Span[searched..].IndexOf((byte)'\n');
            if (newline >= 0)
            {
                Take(searched + newline);
                window.Pass(1);
                return true;
            }
            searched = window.Unread.Length;
            if (window.Fill())
                continue;
            var rest = window.Unread.Length;
            Take(rest);
            return rest > 0;
        }
    }

    private void Take(int length)
    {
        var line = window.Unread[..length];
        window.Pass(length);
        Line = line.Span is [.., (byte)'\r'] ? line[..^1] : line;
    }
}
