using System.Text.Json;
using System.Text.RegularExpressions;

namespace Dpo.Data;

/// <summary>Finds what may be the prompt of a row under a name that nobody knows: trained on without it, the row would teach what
/// was never meant.</summary>
internal static partial class StrayPrompt
{
    private static readonly HashSet<string> Likely =
    [
        "prompt", "prompts", "question", "instruction", "instructions", "query", "input", "inputs", "context", "history", "user",
        "human", "problem", "task", "post", "article", "document", "passage", "dialogue", "dialog", "conversation",
        "conversations", "message", "messages", "request", "system", "text", "content", "title", "turns",
    ];

    private static readonly HashSet<string> Unlikely =
    [
        "id", "ids", "uid", "uuid", "hash", "source", "model", "models", "name", "category", "type", "kind", "rationale",
        "reason", "reasons", "reasoning", "explanation", "critique", "feedback", "comment", "comments", "note", "notes", "judge",
        "judgement", "judgment", "rating", "ratings", "score", "scores", "label", "labels", "meta", "metadata", "language",
        "lang", "date", "time", "timestamp", "split", "dataset", "license", "url", "tag", "tags", "topic", "subset", "annotator",
        "worker", "margin", "chosen", "rejected", "response", "responses", "completion", "completions", "answer", "answers",
        "output", "outputs", "generation", "generations", "status", "difficulty",
    ];

    /// <summary>Makes a bad row of one that has a column that may be the prompt, unless the user said that there is
    /// none.</summary>
    /// <param name="row">The row, in which no prompt was found.</param>
    /// <param name="common">What its completions have in common: a text that it holds is no other prompt.</param>
    public static void Refuse(DataRow row, string common)
    {
        if (row.Columns.NamesPrompt)
            return;
        foreach (var column in row.Json.EnumerateObject())
        {
            if (!row.Columns.IsField(column.Name) && MayBe(column.Name, column.Value, common))
            {
                throw new BadRowException(
                    $"no field 'prompt', but '{column.Name}' may be it (name the column, prompt={column.Name}; " +
                    "or prompt= where rows have no prompt of their own)");
            }
        }
    }

    /// <summary>Whether a column may hold a prompt, or a part of one, by its name alone.</summary>
    public static bool MayBe(string name) =>
        Words(name) is var words && !(words is [.., var last] && Unlikely.Contains(last)) && words.Any(Likely.Contains);

    /// <summary>Whether a column may hold a prompt, or a part of one.</summary>
    /// <param name="name">The column.</param>
    /// <param name="value">What a row has there.</param>
    /// <param name="common">A text which, where it holds what the row has there, makes it nothing new.</param>
    public static bool MayBe(string name, JsonElement value, string common = "")
    {
        var words = Words(name);
        if (words is [.., var last] && Unlikely.Contains(last))
            return false;
        if (MayBe(name))
            return value.ValueKind is JsonValueKind.Array or JsonValueKind.Object || Says(value, common);
        // A name that says nothing, with a text of several words.
        return !words.Any(Unlikely.Contains) && Says(value, common)
            && value.GetString()!.AsSpan().Trim().IndexOfAny(" \t\r\n") >= 0;
    }

    private static string[] Words(string name) => [.. Word().Matches(name).Select(word => word.Value.ToLowerInvariant())];

    /// <summary>Whether there is a text that the completions do not begin with.</summary>
    private static bool Says(JsonElement value, string common) => value.ValueKind == JsonValueKind.String
        && value.GetString()!.Trim() is { Length: > 0 } text && !common.Contains(text, StringComparison.Ordinal);

    [GeneratedRegex(@"\p{Lu}?[\p{Ll}\p{Lo}]+|\p{Lu}+(?!\p{Ll})", RegexOptions.CultureInvariant)]
    private static partial Regex Word();
}
