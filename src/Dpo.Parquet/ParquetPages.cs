using System.Buffers.Binary;
using Parquet.Meta;

namespace Dpo;

/// <summary>Looks over what a Parquet file says of itself before Parquet.Net acts on it: a damaged file is refused instead of taking
/// all memory, or for ever.</summary>
internal static class ParquetPages
{
    /// <summary>Looks over the footer.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static void RequireFooter(Stream stream)
    {
        Span<byte> end = stackalloc byte[8];
        if (stream.Length < 4 + end.Length)
            throw new InvalidDataException("it is too short");
        stream.Seek(-end.Length, SeekOrigin.End);
        stream.ReadExactly(end);
        var length = BinaryPrimitives.ReadInt32LittleEndian(end);
        if (!end[4..].SequenceEqual("PAR1"u8))
            throw new InvalidDataException("it does not end as one");
        if (length < 1 || length > stream.Length - 4 - end.Length)
            throw new InvalidDataException("its footer is damaged");
        stream.Seek(-end.Length - length, SeekOrigin.End);
        new ThriftWalk(stream, length).Struct(ThriftShape.FileMetaData);
    }

    /// <summary>Looks over the pages of a column in a row group.</summary>
    /// <returns>Where they begin and end.</returns>
    /// <exception cref="InvalidDataException">They do not hold the column's values.</exception>
    public static (long Begin, long End) Of(Stream stream, ColumnMetaData column)
    {
        // As Parquet.Net finds the first page.
        var begin = new[] { column.DictionaryPageOffset ?? 0, column.DataPageOffset, column.IndexPageOffset ?? 0 }.Where(offset => offset != 0).Min();
        var end = begin;
        for (var values = column.NumValues; values > 0;)
        {
            if (end < 4 || end >= stream.Length)
                throw new InvalidDataException("a column's pages do not lie in it");
            stream.Seek(end, SeekOrigin.Begin);
            var header = new ThriftWalk(stream, stream.Length - end);
            header.Struct(ThriftShape.PageHeader);
            end += header.Length;
            var (type, whole, size) = ((PageType)header[0, 1], header[0, 2], header[0, 3]);
            var count = type switch
            {
                PageType.DATA_PAGE => header[5, 1],
                PageType.DATA_PAGE_V2 => header[8, 1],
                _ => 0,
            };
            var (nulls, entries) = (header[8, 2], header[7, 1]);
            // No entry of a dictionary takes less than a bit.
            if (size < 0 || size > stream.Length - end || whole is < 0 or > int.MaxValue || count < 0 || count > values
                || nulls < 0 || nulls > count || entries < 0 || entries > 8 * whole)
                throw new InvalidDataException("a page's header is damaged");
            (end, values) = (end + size, values - count);
        }
        return (begin, end);
    }
}
