using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Data;
using Dpo.Files;

namespace Dpo.Evaluation.Measuring;

/// <summary>Files of records, a JSON object a line.</summary>
internal static class RecordLines
{
    private static readonly JsonSerializerOptions style = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // for people to read
    };

    /// <summary>Writes records into a file that appears whole or not at all and outlives a power cut.</summary>
    public static void Write<T>(string path, IEnumerable<T> records) => AtomicFile.Write(path, stream =>
    {
        foreach (var record in records)
        {
            JsonSerializer.Serialize(stream, record, style);
            stream.WriteByte((byte)'\n');
        }
    });

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <param name="record">What a line is, such as "point of a frontier".</param>
    /// <param name="remedy">What one can do where a line is none, beside taking it out.</param>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no such record.</exception>
    public static IReadOnlyList<T> Read<T>(string path, string record, string remedy)
    {
        var records = new List<T>();
        foreach (var row in JsonRows.Of(path))
        {
            try
            {
                records.Add(JsonSerializer.Deserialize<T>(row.Json.Span, style) ?? throw new JsonException("null"));
            }
            catch (JsonException e)
            {
                throw new InvalidInputException(
                    $"{row.Place} is no {record}: {e.Message} Take the line out, or {remedy}.", e);
            }
        }
        return records;
    }
}
