using System.Text.Json;

namespace Dpo.Tokenization;

/// <summary>Looking at JSON that may have any shape.</summary>
internal static class JsonFields
{
    /// <summary>The field of an object; undefined where it is absent or the element is no object.</summary>
    public static JsonElement Field(this JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value : default;

    /// <summary>Whether the element is a token id: a whole number from 0, with room for a vocabulary size above it.</summary>
    public static bool IsId(this JsonElement value, out int id)
    {
        id = -1;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out id) && id is >= 0 and < int.MaxValue;
    }

    /// <summary>The element as an error message shows it.</summary>
    public static string Quote(this JsonElement value)
    {
        var text = value.ValueKind switch
        {
            JsonValueKind.Undefined => "missing",
            JsonValueKind.String => $"\"{value.GetString()}\"",
            _ => value.GetRawText().ReplaceLineEndings(" "),
        };
        return text.Length <= 60 ? text : text[..60] + "…";
    }
}
