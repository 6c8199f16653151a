using System.Text.Json;
using Parquet.Schema;

namespace Dpo;

/// <summary>
/// A field of a Parquet file, loaded for one row group and gone through row by row. Fields are put together out of the columns'
/// definition and repetition levels (Melnik et al. 2010, "Dremel").
/// </summary>
/// <param name="field">The field.</param>
internal abstract class ParquetColumn(Field field)
{
    /// <summary>The field's name.</summary>
    public string Name { get; } = field.Name;

    /// <summary>The definition level from which on there is a value, or an element of the list.</summary>
    protected int Level { get; } = field.MaxDefinitionLevel;

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
    public static ParquetColumn? Of(Field field) => field switch
    {
        DataField { IsArray: false } data => ParquetLeaf.OfType(data),
        ListField { Item: var item } list when Of(item) is { } element => new ListColumn(list, element),
        StructField { Fields: var members } group when members.Select(Of).OfType<ParquetColumn>().ToArray() is { Length: > 0 } columns =>
            new StructColumn(group, columns),
        _ => null,
    };

    /// <summary>Passes over an entry that is null or empty: one in every leaf.</summary>
    private protected void Skip()
    {
        foreach (var leaf in Leaves)
            leaf.Next();
    }

    private sealed class ListColumn(ListField field, ParquetColumn element) : ParquetColumn(field)
    {
        private readonly int _repetition = field.MaxRepetitionLevel;

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
                    element.WriteNullable(writer);
                while (First.Repetition == _repetition);
            }
            writer.WriteEndArray();
        }
    }

    private sealed class StructColumn(StructField field, ParquetColumn[] members) : ParquetColumn(field)
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
