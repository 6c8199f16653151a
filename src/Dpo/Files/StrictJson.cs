using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;

namespace Dpo.Files;

/// <summary>
/// JSON objects from outside, checked so far that reading them later cannot fail on their encoding: valid UTF-8, strings
/// that are valid Unicode, and no name twice in one object.
/// </summary>
internal static class StrictJson
{
    /// <summary>The longest JSON file that is read, in bytes; parsed it takes several times as much.</summary>
    private const int MaximumLength = 16 << 20;

    /// <summary>Reads a file that holds one JSON object.</summary>
    public static JsonElement ReadFile(string path)
    {
        try
        {
            return Parse(path, RegularFile.ReadAllBytes(path, MaximumLength));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{path} cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Parses one JSON object; <paramref name="source"/> begins the message of every error.</summary>
    public static JsonElement Parse(string source, ReadOnlyMemory<byte> utf8)
    {
        if (!Utf8.IsValid(utf8.Span))
            throw new InvalidInputException($"{source} is not UTF-8 text.");
        try
        {
            // Not disposed: the element must outlive this call, and the collector takes back what the document rented.
            var root = JsonDocument.Parse(utf8).RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                throw new InvalidInputException($"{source} is not a JSON object.");
            Check(source, root);
            return root;
        }
        catch (JsonException e)
        {
            throw new InvalidInputException(
                $"{source} is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}).", e);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidInputException($"{source} holds a string with half a surrogate pair, which is not Unicode.", e);
        }
    }

    /// <summary>Writes an object indented, whole or not at all.</summary>
    public static void WriteFile(string path, JsonObject value) => AtomicFile.Write(path, stream =>
    {
        var style = new JsonWriterOptions
        {
            Indented = true,
            NewLine = "\n",
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        };
        using (var writer = new Utf8JsonWriter(stream, style))
            value.WriteTo(writer);
        stream.WriteByte((byte)'\n');
    });

    private static void Check(string source, JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String)
            element.GetString();
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
                Check(source, item);
        }
        if (element.ValueKind == JsonValueKind.Object)
        {
            var names = new HashSet<string>();
            foreach (var property in element.EnumerateObject())
            {
                if (!names.Add(property.Name))
                    throw new InvalidInputException($"{source} names \"{property.Name}\" twice.");
                Check(source, property.Value);
            }
        }
    }
}
