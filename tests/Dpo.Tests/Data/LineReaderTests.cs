using System.IO.Compression;
using System.Text;
using CsCheck;

namespace Dpo.Tests;

public class LineReaderTests
{
    [Fact]
    public void Lines_of_any_length_come_back_whole_with_their_numbers()
    {
        // A limit just above the longest line makes the buffer grow and shift at every place.
        Gen.Int[0, 300].List[1, 40].Select(Gen.Bool, Gen.Bool).Sample((lengths, crlf, compressed) =>
        {
            using var folder = new TemporaryFolder();
            var expected = lengths.Select((length, i) => new string((char)('a' + i % 26), length)).ToList();
            var text = string.Concat(expected.Select(line => line + (crlf ? "\r\n" : "\n")));
            var path = Path.Combine(folder.Path, compressed ? "lines.GZ" : "lines");
            File.WriteAllBytes(path, compressed ? Compress(text) : Encoding.UTF8.GetBytes(text));
            Assert.Equal(expected, ReadAll(path, 301));
        });
    }

    [Fact]
    public void A_byte_order_mark_and_a_missing_last_newline_are_no_matter()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(["a", "", "b\uFEFF"], ReadAll(folder.Write("lines", "\uFEFFa\n\nb\uFEFF"), 10));
    }

    [Fact]
    public void A_line_of_just_the_limit_is_read_and_one_byte_more_is_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(["a", "bcd", "efg"], ReadAll(folder.Write("lines", "a\nbcd\nefg"), 3));
        var path = folder.Write("long", "a\nbcde\nefg");
        var e = Assert.Throws<InvalidInputException>(() => ReadAll(path, 3));
        Assert.Equal($"{path}:2: the row is longer than 3 bytes; give a file with one row a line, or an array of rows.", e.Message);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var e = Assert.Throws<InvalidInputException>(() => ReadAll("/nowhere/train.jsonl", 10));
        Assert.StartsWith("/nowhere/train.jsonl cannot be read: ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_cannot_be_decompressed_is_named()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("plain.gz", "no gzip at all, but long enough to have a header\n");
        var e = Assert.Throws<InvalidInputException>(() => ReadAll(path, 100));
        Assert.StartsWith($"{path}:1: the file cannot be read on (", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_compressed_file_that_was_cut_off_anywhere_is_named()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "cut.gz");
        var whole = Compress("{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
        for (var length = 1; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            var e = Assert.Throws<InvalidInputException>(() => ReadAll(path, 100));
            Assert.Matches(@"/cut\.gz:[123]: the file cannot be read on \(", e.Message.Replace('\\', '/'));
        }
    }

    [Fact]
    public void Compressed_files_put_one_behind_the_other_are_one_file()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "two.gz");
        File.WriteAllBytes(path, [.. Compress("a\nb"), .. Compress("c\nd")]);
        Assert.Equal(["a", "bc", "d"], ReadAll(path, 100));
        File.WriteAllBytes(path, [.. Compress("")]);
        Assert.Empty(ReadAll(path, 100));
    }

    private static byte[] Compress(string text)
    {
        using var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.Fastest))
            gzip.Write(Encoding.UTF8.GetBytes(text));
        return bytes.ToArray();
    }

    private static List<string> ReadAll(string path, int longest)
    {
        using var window = new FileWindow(path, longest);
        var reader = new LineReader(window);
        var lines = new List<string>();
        while (reader.Next())
        {
            lines.Add(Encoding.UTF8.GetString(reader.Line.Span));
            Assert.Equal(lines.Count, reader.Number);
        }
        return lines;
    }
}
