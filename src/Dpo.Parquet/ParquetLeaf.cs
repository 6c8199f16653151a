using System.Text.Json;
using System.Text.Unicode;
using Dpo.Data;
using ParquetSharp;
using ParquetSharp.Schema;

namespace Dpo.Parquet;

/// <summary>A field with values: a column of the file, of which some entries are in memory at a time.</summary>
internal abstract class ParquetLeaf(string name, int column, int definition, int repetition)
    : ParquetColumn(name, definition), IDisposable
{
    private const int BatchSize = 1024;

    private static readonly MemoryPool Memory = MemoryPool.GetDefaultMemoryPool();

    /// <summary>The bytes that Arrow has allocated, for whatever purpose.</summary>
    public static long MemoryInUse => Memory.BytesAllocated;

    private readonly short[] definitions = new short[BatchSize];
    private readonly short[] repetitions = new short[BatchSize];
    private ColumnReader? reader;
    private long mostMemory;
    private long memoryBefore;
    private int count;
    private int entry;

    /// <summary>The definition level of the current entry.</summary>
    public int Definition => AtEnd ? throw new InvalidDataException($"the column '{Name}' ends too early") : definitions[entry];

    /// <summary>The repetition level of the current entry: 0 where a row begins, and behind the last.</summary>
    public int Repetition => AtEnd ? 0 : repetitions[entry];

    /// <summary>Whether all entries of the row group were gone through.</summary>
    public bool AtEnd => entry == count;

    public override ParquetLeaf First => this;

    public override IEnumerable<ParquetLeaf> Leaves => [this];

    /// <summary>Goes on to the next entry.</summary>
    public void Next()
    {
        if (++entry == count)
            Fill();
    }

    /// <summary>Begins the column's entries in a row group.</summary>
    /// <param name="group">The row group.</param>
    /// <param name="before">What was in use before the file was read.</param>
    /// <param name="most">The most bytes that pages may take, of all columns together: a page of one letter over and over takes
    /// next to nothing in the file.</param>
    public void Begin(RowGroupReader group, long before, long most)
    {
        (memoryBefore, mostMemory) = (before, most);
        reader?.Dispose();
        reader = group.Column(column);
        Fill();
    }

    public void Dispose() => reader?.Dispose();

    /// <summary>The leaf of a field; null where its type is none of those that JSON has.</summary>
    public static ParquetLeaf? OfType(PrimitiveNode field, int column, int definition, int repetition)
    {
        Values<T> Of<T>(Action<Utf8JsonWriter, T> write)
            where T : unmanaged => new(field.Name, column, definition, repetition, write);
        using var type = field.LogicalType;
        var isPlain = type.Type is LogicalTypeEnum.None or LogicalTypeEnum.Undefined or LogicalTypeEnum.Nil;
        var isInteger = isPlain || type.Type == LogicalTypeEnum.Int;
        var isUnsigned = type is IntLogicalType { IsSigned: false };
        return field.PhysicalType switch
        {
            PhysicalType.Boolean when isPlain => Of<bool>((writer, value) => writer.WriteBooleanValue(value)),
            PhysicalType.Int32 when isUnsigned => Of<int>((writer, value) => writer.WriteNumberValue((uint)value)),
            PhysicalType.Int32 when isInteger => Of<int>((writer, value) => writer.WriteNumberValue(value)),
            PhysicalType.Int64 when isUnsigned => Of<long>((writer, value) => writer.WriteNumberValue((ulong)value)),
            PhysicalType.Int64 when isInteger => Of<long>((writer, value) => writer.WriteNumberValue(value)),
            PhysicalType.Float when isPlain => Of<float>((writer, value) => WriteReal(writer, value)),
            PhysicalType.Double when isPlain => Of<double>(WriteReal),
            PhysicalType.ByteArray
                when isPlain || type.Type is LogicalTypeEnum.String or LogicalTypeEnum.Json or LogicalTypeEnum.Enum =>
                Of<ByteArray>(WriteText),
            _ => null,
        };
    }

    private protected abstract (int Entries, int Values) Read(ColumnReader from, short[] definitions, short[] repetitions);

    private void Fill()
    {
        (count, entry) = (0, 0);
        if (!reader!.HasNext)
            return;
        var (entries, values) = Read(reader, definitions, repetitions);
        var read = definitions.AsSpan(0, entries);
        if (entries == 0 || read.ContainsAnyExceptInRange((short)0, (short)Level)
            || repetitions.AsSpan(0, entries).ContainsAnyExceptInRange((short)0, (short)repetition)
            || read.Count((short)Level) != values)
            throw new InvalidDataException($"the column '{Name}' has pages that do not hold its entries");
        if (MemoryInUse - memoryBefore > mostMemory)
            throw new InvalidDataException($"its pages take more than {mostMemory:N0} bytes of memory");
        count = entries;
    }

    /// <summary>JSON has no name for what is not finite: a text makes the row a bad one.</summary>
    private static void WriteReal(Utf8JsonWriter writer, double value)
    {
        if (double.IsFinite(value))
            writer.WriteNumberValue(value);
        else
            writer.WriteStringValue("not finite");
    }

    private static unsafe void WriteText(Utf8JsonWriter writer, ByteArray value)
    {
        if (value.Length is < 0 or > FileWindow.LongestRow)
            throw new InvalidDataException($"a text has more than {FileWindow.LongestRow:N0} bytes");
        var text = new ReadOnlySpan<byte>((void*)value.Pointer, value.Length);
        // Invalid bytes go on unchanged, so that the row is counted as what it is.
        if (Utf8.IsValid(text))
            writer.WriteStringValue(text);
        else
            writer.WriteRawValue(text, skipInputValidation: true);
    }

    private sealed class Values<T>(string name, int column, int definition, int repetition, Action<Utf8JsonWriter, T> write)
        : ParquetLeaf(name, column, definition, repetition)
        where T : unmanaged
    {
        private readonly T[] values = new T[BatchSize];
        private int value;

        public override void Write(Utf8JsonWriter writer)
        {
            write(writer, values[value++]);
            Next();
        }

        private protected override (int Entries, int Values) Read(ColumnReader from, short[] definitions, short[] repetitions)
        {
            value = 0;
            var entries = ((ColumnReader<T>)from).ReadBatch(values.Length, definitions, repetitions, values, out var read);
            return ((int)entries, (int)read);
        }
    }
}
