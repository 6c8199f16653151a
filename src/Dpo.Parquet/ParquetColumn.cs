using System.Text.Json;
using Dpo.Data;
using ParquetSharp;
using ParquetSharp.Schema;

namespace Dpo.Parquet;

/// <summary>
/// A field of a Parquet file, gone through row by row. Fields are put together out of the columns' definition and repetition
/// levels (Melnik et al. 2010, "Dremel").
/// </summary>
/// <param name="name">The field's name.</param>
/// <param name="level">The definition level from which on there is a value, or an element of the list.</param>
internal abstract class ParquetColumn(string name, int level)
{
    /// <summary>The field's name.</summary>
    public string Name => name;

    /// <summary>The definition level from which on there is a value, or an element of the list.</summary>
    protected int Level => level;

    /// <summary>Whether the current entry has no value.</summary>
    public virtual bool IsNull => First.Definition < Level;

    /// <summary>The first of the leaves below: it tells for all of them what there is.</summary>
    public abstract ParquetLeaf First { get; }

    /// <summary>The leaves below, each a column of the file.</summary>
    public abstract IEnumerable<ParquetLeaf> Leaves { get; }

    /// <summary>Writes the current entry, which is not null, and goes on to the next.</summary>
    public abstract void Write(Utf8JsonWriter writer);

    /// <summary>Writes the current entry or null, and goes on to the next.</summary>
    public void WriteNullable(Utf8JsonWriter writer)
    {
        if (!IsNull)
        {
            Write(writer);
            return;
        }
        writer.WriteNullValue();
        Skip();
    }

    /// <summary>Writes the current entry under its name, unless it is null, and goes on to the next.</summary>
    public void WriteMember(Utf8JsonWriter writer)
    {
        if (IsNull)
        {
            Skip();
            return;
        }
        writer.WritePropertyName(Name);
        Write(writer);
    }

    /// <summary>The column of a field; null where its type is none of those that JSON has.</summary>
    /// <param name="field">The field.</param>
    /// <param name="schema">Tells which column of the file a leaf is.</param>
    /// <param name="definition">The definition level of what the field lies in.</param>
    /// <param name="repetition">The repetition level of what the field lies in.</param>
    public static ParquetColumn? Of(Node field, SchemaDescriptor schema, int definition = 0, int repetition = 0)
    {
        if (field.Repetition == Repetition.Repeated)
            return List(field.Name, definition + 1, repetition + 1, Single(field, schema, definition + 1, repetition + 1));
        definition += field.Repetition == Repetition.Optional ? 1 : 0;
        // A list is a group of a repeated field, which holds the element, or is the element itself in files of old.
        if (field is GroupNode { LogicalType.Type: LogicalTypeEnum.List, Fields: [{ Repetition: Repetition.Repeated } repeated] })
        {
            var element = repeated is GroupNode { Fields: [var only] } && repeated.Name != "array"
                && repeated.Name != field.Name + "_tuple"
                ? Of(only, schema, definition + 1, repetition + 1)
                : Single(repeated, schema, definition + 1, repetition + 1);
            return List(field.Name, definition + 1, repetition + 1, element);
        }
        return Single(field, schema, definition, repetition);
    }

    private static ListColumn? List(string name, int level, int repetition, ParquetColumn? element) =>
        element is null ? null : new ListColumn(name, level, repetition, element);

    private static ParquetColumn? Single(Node field, SchemaDescriptor schema, int definition, int repetition) => field switch
    {
        PrimitiveNode leaf => ParquetLeaf.OfType(leaf, schema.ColumnIndex(leaf), definition, repetition),
        GroupNode { LogicalType.Type: LogicalTypeEnum.None or LogicalTypeEnum.Undefined, Fields: var members }
            when members.Select(member => Of(member, schema, definition, repetition)).OfType<ParquetColumn>().ToArray()
                is { Length: > 0 } columns =>
            new StructColumn(field.Name, definition, columns),
        _ => null,
    };

    /// <summary>Passes over an entry that is null or empty: one in every leaf.</summary>
    private protected void Skip()
    {
        foreach (var leaf in Leaves)
            leaf.Next();
    }

    private sealed class ListColumn(string name, int level, int repetition, ParquetColumn element) : ParquetColumn(name, level)
    {
        // One below the level of its elements a list is empty; below that it is null.
        public override bool IsNull => First.Definition < Level - 1;

        public override ParquetLeaf First => element.First;

        public override IEnumerable<ParquetLeaf> Leaves => element.Leaves;

        public override void Write(Utf8JsonWriter writer)
        {
            writer.WriteStartArray();
            if (First.Definition < Level)
            {
                Skip();
            }
            else
            {
                do
                {
                    element.WriteNullable(writer);
                    // Nulls without end take next to nothing in the file.
                    if (writer.BytesCommitted + writer.BytesPending > FileWindow.LongestRow)
                        throw new InvalidDataException(
                            $"the column '{Name}' has a row of more than {FileWindow.LongestRow:N0} bytes");
                }
                while (First.Repetition == repetition);
            }
            writer.WriteEndArray();
        }
    }

    private sealed class StructColumn(string name, int level, ParquetColumn[] members) : ParquetColumn(name, level)
    {
        public override ParquetLeaf First => members[0].First;

        public override IEnumerable<ParquetLeaf> Leaves => members.SelectMany(member => member.Leaves);

        public override void Write(Utf8JsonWriter writer)
        {
            writer.WriteStartObject();
            foreach (var member in members)
                member.WriteMember(writer);
            writer.WriteEndObject();
        }
    }
}
