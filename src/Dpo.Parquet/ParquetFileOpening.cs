using ParquetSharp;
using ParquetSharp.Schema;

namespace Dpo.Parquet;

/// <summary>Opens Parquet files out of anybody's hands.</summary>
internal static class ParquetFileOpening
{
    private const int MostItems = 100_000;
    private const int DeepestSchema = 32;
    private const int StackBytes = 64 << 20;

    /// <summary>Opens a file, of which pages are read as they are needed.</summary>
    /// <exception cref="InvalidDataException">Its columns are nested too deep.</exception>
    /// <exception cref="ParquetException">It is no Parquet, or its footer is damaged.</exception>
    public static ParquetFileReader Open(FileStream file)
    {
        ParquetFileReader? reader = null;
        Exception? failure = null;
        // Arrow goes down the columns by recursion before it can be asked how deep they are nested.
        var thread = new Thread(
            () =>
            {
                try
                {
                    reader = OpenHere(file);
                }
                catch (Exception e)
                {
                    failure = e;
                }
            },
            StackBytes);
        thread.Start();
        thread.Join();
        return reader ?? throw failure!;
    }

    private static ParquetFileReader OpenHere(FileStream file)
    {
        using var properties = ReaderProperties.GetDefaultReaderProperties();
        properties.EnableBufferedStream();
        properties.EnablePageChecksumVerification();
        properties.SetThriftContainerSizeLimit(MostItems);
        var reader = new ParquetFileReader(file, properties, leaveOpen: true);
        try
        {
            RequireShallow(reader.FileMetaData.Schema.GroupNode);
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    private static void RequireShallow(GroupNode root)
    {
        var groups = new Stack<(GroupNode Group, int Depth)>([(root, 1)]);
        while (groups.TryPop(out var item))
        {
            if (item.Depth > DeepestSchema)
                throw new InvalidDataException($"its columns are nested more than {DeepestSchema} deep");
            foreach (var group in item.Group.Fields.OfType<GroupNode>())
                groups.Push((group, item.Depth + 1));
        }
    }
}
