namespace Dpo.Data;

/// <summary>Knows by its beginning a file that is given in place of one of JSON rows.</summary>
internal static class FileKind
{
    private static readonly (byte[] Mark, string Kind, string Remedy)[] Others =
    [
        ([.. "PAR1"u8], "a Parquet file",
            "read it by the package Dpo.Parquet, and in the programs under a name that ends in .parquet"),
        ([.. "ARROW1"u8], "an Arrow file", "write it as JSON Lines or Parquet"),
        ([0x1F, 0x8B], "compressed by gzip", "give it a name that ends in .gz"),
        ([0x28, 0xB5, 0x2F, 0xFD], "compressed by Zstandard", "decompress it, or compress it by gzip"),
        ([0xFD, .. "7zXZ"u8], "compressed by xz", "decompress it, or compress it by gzip"),
        ([.. "BZh"u8], "compressed by bzip2", "decompress it, or compress it by gzip"),
        ([.. "PK\u0003\u0004"u8], "a zip archive", "unpack it"),
    ];

    /// <summary>Refuses what is no JSON, by its name.</summary>
    /// <exception cref="InvalidInputException">The file is something else, or a table with commas by its name and its first
    /// byte.</exception>
    public static void RequireJson(FileWindow window)
    {
        while (window.Unread.Length < 8 && window.Fill())
        {
        }
        var text = window.Unread.Span;
        foreach (var (mark, kind, remedy) in Others)
        {
            if (text.StartsWith(mark))
                throw new InvalidInputException($"{window.Path}: the file is {kind}, not JSON; {remedy}.");
        }
        var isCompressed = window.Path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        var ending = Path.GetExtension(isCompressed ? Path.GetFileNameWithoutExtension(window.Path) : window.Path);
        if (ending.ToLowerInvariant() is ".csv" or ".tsv" && text.TrimStart(" \t\r\n"u8) is [not (byte)'{' and not (byte)'[', ..])
        {
            throw new InvalidInputException(
                $"{window.Path}: the file is a table of separated values, not JSON; write it as JSON Lines, an object a line, " +
                "or as Parquet.");
        }
    }
}
