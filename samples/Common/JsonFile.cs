using System.Text.Encodings.Web;
using System.Text.Json;

namespace Dpo.Samples;

/// <summary>Files of JSON that appear whole or not at all, with text that people can read.</summary>
internal static class JsonFile
{
    private static readonly JsonSerializerOptions line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly JsonSerializerOptions indented = new(line) { WriteIndented = true, NewLine = "\n" };

    /// <summary>Writes one object.</summary>
    public static void Write(string path, object value) => WriteText(path, JsonSerializer.Serialize(value, indented) + "\n");

    /// <summary>Writes an object a line.</summary>
    public static void WriteLines(string path, IEnumerable<object> values) =>
        WriteText(path, string.Concat(values.Select(value => JsonSerializer.Serialize(value, line) + "\n")));

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidInputException">It cannot be read as that.</exception>
    public static T Read<T>(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path)) ?? throw new JsonException("It is null.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{path} cannot be read: {e.Message} Take its folder away to begin anew.", e);
        }
    }

    private static void WriteText(string path, string text)
    {
        File.WriteAllText(path + ".tmp", text);
        File.Move(path + ".tmp", path, overwrite: true);
    }
}
