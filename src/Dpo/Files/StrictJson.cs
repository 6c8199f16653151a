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

    /// <summary>How JSON from outside is parsed: no name twice in one object.</summary>
    public static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    /// <summary>Reads a file that holds one JSON object.</summary>
    public static JsonElement ReadFile(string path) => Parse(path, RegularFile.ReadAllBytes(path, MaximumLength));

    /// <summary>Parses one JSON object; <paramref name="source"/> begins the message of every error.</summary>
    public static JsonElement Parse(string source, ReadOnlyMemory<byte> utf8)
    {
        if (!Utf8.IsValid(utf8.Span))
            throw new InvalidInputException($"{source} is not UTF-8 text.");
        try
        {
            // Not disposed: the element must outlive this call, and the collector takes back what the document rented.
            var root = JsonDocument.Parse(utf8, Options).RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                throw new InvalidInputException($"{source} is not a JSON object.");
            ReadStrings(root);
            return root;
        }
        catch (JsonException e)
        {
            throw new InvalidInputException(e.LineNumber is { } line
                ? $"{source} is not valid JSON (line {line + 1}, byte {e.BytePositionInLine + 1})."
                : $"{source} names a field twice: {e.Message}", e);
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

    /// <summary>Reads every string once: one with half a surrogate pair throws, here and not in the midst of some
    /// field.</summary>
    private static void ReadStrings(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String)
            element.GetString();
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
                ReadStrings(item);
        }
        if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (var field in element.EnumerateObject())
            {
                _ = field.Name;
                ReadStrings(field.Value);
            }
        }
    }
}
