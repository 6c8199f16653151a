using System.Text.Json;

namespace Dpo.Data;

/// <summary>The prompt of a row: a text, out of one column or several, or a list of messages.</summary>
/// <param name="row">The row.</param>
/// <param name="names">The columns' names.</param>
/// <param name="columns">Those of the prompt.</param>
internal sealed class RowPrompt(JsonElement row, ColumnNames names, IReadOnlyList<string> columns)
{
    private readonly string[] own = [.. columns.Where(column => !names.IsSystem(column))];

    /// <summary>Whether the column is called so, or the user named it, rather than known from other sets.</summary>
    public bool IsStated => names.NamesPrompt || Name == "prompt";

    /// <summary>The column of the prompt; the first of several.</summary>
    public string Name => own[0];

    /// <summary>The prompt, where it is no text; messages, it is to be hoped.</summary>
    public JsonElement? Messages =>
        own is [var column] && row.TryField(column, out var value) && value.ValueKind != JsonValueKind.String ? value : null;

    /// <summary>What the system says before it; empty where it says nothing.</summary>
    public string System => Joined(columns.Except(own));

    /// <summary>The text, what the system says aside.</summary>
    public string Question => Joined(own);

    /// <summary>The whole text: its parts each on a line of their own, as LLaMA-Factory puts them together.</summary>
    public string Text => Joined(columns);

    private string Joined(IEnumerable<string> parts)
    {
        // Without them the prompt would be another.
        var hasTurns = row.TryField(ColumnNames.History, out var turns) && turns.ValueKind == JsonValueKind.Array
            && turns.GetArrayLength() > 0;
        if (hasTurns && !names.NamesPrompt)
            throw new BadRowException(
                "'history' holds earlier turns, which are not read (give chats as lists of messages, or name the prompt's " +
                "column)");
        string[] present = [.. parts.Where(part => row.TryField(part, out _))];
        if (present.Length == 0 && parts.FirstOrDefault() is { } missing)
            throw new BadRowException($"no field '{missing}'");
        return present is [var only]
            ? row.Text(only)
            : string.Join('\n', present.Select(part => row.Text(part)).Where(text => !string.IsNullOrWhiteSpace(text)));
    }
}
