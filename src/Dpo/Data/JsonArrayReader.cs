using System.Buffers;

namespace Dpo.Data;

/// <summary>Reads the items of a JSON array one by one, as bytes, however they are laid out over lines; what an item holds is not
/// looked at beyond where it ends.</summary>
/// <param name="window">The file, which is read from where it stands.</param>
internal sealed class JsonArrayReader(FileWindow window)
{
    private static readonly SearchValues<byte> Structure = SearchValues.Create("{}[]\","u8);

    private bool isOpen;

    /// <summary>The number of the current item, from 1.</summary>
    public int Number { get; private set; }

    /// <summary>The current item. Valid until the next call of <see cref="Next"/>.</summary>
    public ReadOnlyMemory<byte> Item { get; private set; }

    /// <summary>Whether a file that was not read yet is an array of objects, or of nothing, rather than lines of JSON, of which
    /// the first may be a bad one.</summary>
    public static bool Begins(FileWindow window)
    {
        const int farthest = 1 << 15;
        while (true)
        {
            var text = window.Unread.Span[..Math.Min(window.Unread.Length, farthest)];
            var array = text.IndexOfAnyExcept(Spaces);
            if (array >= 0 && text[array] != '[')
                return false;
            var item = array < 0 ? -1 : text[(array + 1)..].IndexOfAnyExcept(Spaces);
            if (item >= 0)
                return text[array + 1 + item] is (byte)'{' or (byte)']';
            if (text.Length == farthest || !window.Fill())
                return false;
        }
    }

    /// <summary>Goes on to the next item; false behind the last.</summary>
    /// <exception cref="InvalidInputException">The array is not closed, or something else stands between items or behind
    /// it.</exception>
    public bool Next()
    {
        window.Number = Number + 1;
        if (!isOpen)
        {
            isOpen = true;
            Mark();
            if (Peek() == ']')
            {
                Mark();
                return RequireEnd();
            }
        }
        else
        {
            var mark = Mark();
            if (mark == ']')
                return RequireEnd();
            if (mark != ',')
                throw Broken("there is no comma in front of it");
        }
        Number++;
        Peek();
        var length = Length();
        Item = window.Unread[..length];
        window.Pass(length);
        return true;
    }

    private static ReadOnlySpan<byte> Spaces => " \t\r\n"u8;

    /// <summary>How many bytes the item takes that begins here.</summary>
    private int Length()
    {
        var (at, depth, isText) = (0, 0, false);
        while (true)
        {
            var unread = window.Unread.Span[at..];
            var next = isText ? unread.IndexOfAny((byte)'"', (byte)'\\') : unread.IndexOfAny(Structure);
            // A backslash is looked at together with what it escapes.
            if (next < 0 || (unread[next] == '\\' && next + 1 == unread.Length))
            {
                at = next < 0 ? at + unread.Length : at + next;
                if (!window.Fill())
                    throw Broken("the array is not closed");
                continue;
            }
            var mark = unread[next];
            at += next + (mark == '\\' ? 2 : 1);
            if (mark == '"')
                isText = !isText;
            else if (mark is (byte)'{' or (byte)'[')
                depth++;
            else if (mark is (byte)'}' or (byte)']' && --depth == 0)
                return at;
            // Of an item that is no object.
            if (!isText && ((mark == ',' && depth == 0) || depth < 0))
                return at - 1;
        }
    }

    private bool RequireEnd()
    {
        if (Peek() >= 0)
            throw Broken("there is something behind the array");
        return false;
    }

    /// <summary>The byte behind white space, which is passed; -1 at the end of the file.</summary>
    private int Peek()
    {
        while (true)
        {
            var at = window.Unread.Span.IndexOfAnyExcept(Spaces);
            window.Pass(at < 0 ? window.Unread.Length : at);
            if (at >= 0)
                return window.Unread.Span[0];
            if (!window.Fill())
                return -1;
        }
    }

    private int Mark()
    {
        var mark = Peek();
        if (mark < 0)
            throw Broken("the array is not closed");
        window.Pass(1);
        return mark;
    }

    private InvalidInputException Broken(string fault) =>
        new(
            $"{window.Path}:{window.Number}: the rows cannot be read on ({fault}); give one JSON array of objects, or one " +
            "object a line.");
}
