using System.Text.Json;
using System.Text.Unicode;
using Parquet;
using Parquet.Schema;

namespace Dpo;

/// <summary>A field with values: a column of the file.</summary>
internal abstract class ParquetLeaf(DataField column) : ParquetColumn(column)
{
    private int[] _definitions = [];
    private int[] _repetitions = [];
    private int _entry;

    /// <summary>The definition level of the current entry.</summary>
    public int Definition => AtEnd ? throw new InvalidDataException($"the column '{column.Path}' ends too early") : _definitions[_entry];

    /// <summary>The repetition level of the current entry: 0 where a row begins, and behind the last.</summary>
    public int Repetition => AtEnd ? 0 : _repetitions[_entry];

    /// <summary>Whether all entries were gone through.</summary>
    public bool AtEnd => _entry == _definitions.Length;

    public override ParquetLeaf First => this;

    public override IEnumerable<ParquetLeaf> Leaves => [this];

    /// <summary>Goes on to the next entry.</summary>
    public void Next() => _entry++;

    /// <summary>Loads the column's entries in a row group.</summary>
    public void Load(ParquetRowGroupReader group, BoundedReads file)
    {
        var metadata = group.GetMetadata(column)?.MetaData ?? throw new InvalidDataException($"the column '{column.Path}' is missing");
        var count = checked((int)metadata.NumValues);
        if (count < group.RowCount || (column.MaxRepetitionLevel == 0 && count != group.RowCount))
            throw new InvalidDataException($"the column '{column.Path}' has {count} entries for {group.RowCount} rows");
        file.Limit(0, file.Length);
        var (begin, end) = ParquetPages.Of(file, metadata);
        file.Limit(begin, end);
        (_definitions, _repetitions, _entry) = (new int[count], new int[count], 0);
        // Parquet.Net leaves what a damaged page lacks as it was.
        if (column.MaxDefinitionLevel > 0)
            Array.Fill(_definitions, -1);
        if (column.MaxRepetitionLevel > 0)
            Array.Fill(_repetitions, -1);
        LoadValues(group, _definitions, _repetitions);
        if (_definitions.AsSpan().ContainsAnyExceptInRange(0, column.MaxDefinitionLevel) || _repetitions.AsSpan().ContainsAnyExceptInRange(0, column.MaxRepetitionLevel))
            throw new InvalidDataException($"the column '{column.Path}' has levels that it cannot have");
    }

    /// <summary>The leaf of a field; null where its type is none of those that JSON has.</summary>
    public static ParquetLeaf? OfType(DataField field) => Type.GetTypeCode(field.ClrType) switch
    {
        TypeCode.Boolean => new Values<bool>(field, (writer, value) => writer.WriteBooleanValue(value)),
        TypeCode.SByte => new Values<sbyte>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.Byte => new Values<byte>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.Int16 => new Values<short>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.UInt16 => new Values<ushort>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.Int32 => new Values<int>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.UInt32 => new Values<uint>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.Int64 => new Values<long>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.UInt64 => new Values<ulong>(field, (writer, value) => writer.WriteNumberValue(value)),
        TypeCode.Single => new Values<float>(field, (writer, value) => WriteReal(writer, value)),
        TypeCode.Double => new Values<double>(field, WriteReal),
        _ when field.ClrType == typeof(ReadOnlyMemory<byte>) => new Values<ReadOnlyMemory<byte>>(field, WriteText),
        _ => null,
    };

    private protected abstract void LoadValues(ParquetRowGroupReader group, int[] definitions, int[] repetitions);

    /// <summary>JSON has no name for what is not finite: a text makes the row a bad one.</summary>
    private static void WriteReal(Utf8JsonWriter writer, double value)
    {
        if (double.IsFinite(value))
            writer.WriteNumberValue(value);
        else
            writer.WriteStringValue("not finite");
    }

    private static void WriteText(Utf8JsonWriter writer, ReadOnlyMemory<byte> text)
    {
        // Invalid bytes go on unchanged, so that the row is counted as what it is.
        if (Utf8.IsValid(text.Span))
            writer.WriteStringValue(text.Span);
        else
            writer.WriteRawValue(text.Span, skipInputValidation: true);
    }

    private sealed class Values<T>(DataField field, Action<Utf8JsonWriter, T> write) : ParquetLeaf(field)
        where T : struct
    {
        private readonly DataField _field = field;
        private T[] _values = [];
        private int _value;

        public override void Write(Utf8JsonWriter writer)
        {
            write(writer, _values[_value++]);
            Next();
        }

        private protected override void LoadValues(ParquetRowGroupReader group, int[] definitions, int[] repetitions)
        {
            (_values, _value) = (new T[definitions.Length], 0);
            group.ReadRawAsync<T>(_field, _values, definitions, repetitions).AsTask().GetAwaiter().GetResult();
        }
    }
}
