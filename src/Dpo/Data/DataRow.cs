using System.Text.Json;

namespace Dpo.Data;

/// <summary>A row of data as its format reads it: fields under whatever names the columns have; what is null is
/// missing.</summary>
/// <param name="Json">The row, a JSON object.</param>
/// <param name="Columns">The columns' names.</param>
/// <param name="Origin">Where the row comes from.</param>
internal readonly record struct DataRow(JsonElement Json, ColumnNames Columns, JsonRow Origin)
{
    /// <summary>What examples carry along: <c>train.jsonl:12</c>.</summary>
    public string Source => Origin.Source;

    /// <summary>The value of a field other than the prompt.</summary>
    public bool TryGet(string field, out JsonElement value)
    {
        foreach (var column in Columns.Of(field))
        {
            if (Json.TryField(column, out value))
                return true;
        }
        value = default;
        return false;
    }

    /// <summary>Whether there is a field.</summary>
    public bool Has(string field) => TryGet(field, out _);

    /// <summary>The value of a field; one that is missing makes a bad row.</summary>
    public JsonElement Get(string field) =>
        TryGet(field, out var value)
            ? value
            : throw new BadRowException($"no field '{Columns.Of(field).FirstOrDefault() ?? field}'");

    /// <summary>The text of a field; a field that is missing or no text makes a bad row.</summary>
    public string Text(string field)
    {
        var value = Get(field);
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new BadRowException($"'{Columns.Of(field).First()}' is not a text");
    }

    /// <summary>The prompt; null where the row has none.</summary>
    public RowPrompt? Prompt
    {
        get
        {
            var row = Json;
            var columns = Columns.OfPrompt(column =>
                row.TryField(column, out var value) && (column != ColumnNames.System || value.ValueKind == JsonValueKind.String));
            return columns.Count == 0 ? null : new RowPrompt(Json, Columns, columns);
        }
    }

    /// <summary>The prompt; a row without one is a bad row.</summary>
    public RowPrompt RequiredPrompt => Prompt ?? throw new BadRowException("no field 'prompt'");
}
