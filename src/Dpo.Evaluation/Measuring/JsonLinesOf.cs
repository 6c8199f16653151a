using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Data;
using Dpo.Files;

namespace Dpo.Evaluation.Measuring;

/// <summary>Records as a file of JSON Lines, a record a line, written whole and read strictly: a field too many or too few is
/// refused.</summary>
/// <typeparam name="T">The record.</typeparam>
/// <param name="name">What a line is, such as <c>point of a frontier</c>.</param>
/// <param name="remedy">What to do about one that is none, besides taking it out.</param>
/// <param name="fault">What is wrong with a record whose fields are all there; null for nothing.</param>
internal sealed class JsonLinesOf<T>(string name, string remedy, Func<T, string?>? fault = null)
    where T : class
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
    public static void Write(string path, IEnumerable<T> records)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(records);
        AtomicFile.Write(path, stream =>
        {
            foreach (var record in records)
            {
                JsonSerializer.Serialize(stream, record, style);
                stream.WriteByte((byte)'\n');
            }
        });
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no such record.</exception>
    public IReadOnlyList<T> Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var records = new List<T>();
        foreach (var row in JsonRows.Of(path))
        {
            try
            {
                var record = JsonSerializer.Deserialize<T>(row.Json.Span, style) ?? throw new JsonException("null");
                records.Add(fault?.Invoke(record) is { } wrong ? throw new JsonException(wrong) : record);
            }
            catch (JsonException e)
            {
                throw new InvalidInputException($"{row.Place} is no {name}: {e.Message} Take the line out, or {remedy}.", e);
            }
        }
        return records;
    }
}
