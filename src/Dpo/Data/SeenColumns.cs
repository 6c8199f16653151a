using System.Text.Json;

namespace Dpo.Data;

/// <summary>Which columns rows turned out to have: those that the user named must be among them, and those that no field is read
/// from are told of.</summary>
/// <param name="columns">The columns' names.</param>
/// <param name="report">Is told of columns that are ignored.</param>
internal sealed class SeenColumns(ColumnNames columns, DataReport report)
{
    /// <summary>Of so many rows the columns are looked at.</summary>
    private const int LookedAt = 1000;

    private readonly HashSet<string> known = new(StringComparer.Ordinal);
    private readonly HashSet<string> missing = columns.Named.ToHashSet(StringComparer.Ordinal);
    private (string Path, string[] Columns)? first;

    /// <summary>Looks for named columns in a row.</summary>
    public void Find(string path, JsonElement row)
    {
        first ??= (path, [.. row.EnumerateObject().Select(field => field.Name)]);
        missing.RemoveWhere(column => row.TryField(column, out _));
    }

    /// <summary>Tells of columns of a row that was read and are not used though they may belong to its prompt.</summary>
    public void NoteIgnored(JsonElement row, long index)
    {
        if (index >= LookedAt)
            return;
        string[] present =
            [.. row.EnumerateObject().Where(field => field.Value.ValueKind != JsonValueKind.Null).Select(field => field.Name)];
        var before = known.Count;
        known.UnionWith(present);
        if (known.Count > before)
            report.Ignore(columns.Ignored(present).Where(column => StrayPrompt.MayBe(column, row.GetProperty(column))));
    }

    /// <summary>Refuses rows of which none has anything in a column that was named: a name that is spelt wrong would else go
    /// unnoticed where the field need not be there.</summary>
    public void RequireNamed()
    {
        if (first is var (path, present) && missing.Count > 0)
            throw ColumnNames.Nowhere(path, missing.First(), present);
    }
}
