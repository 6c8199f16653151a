using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using Dpo.Files;
using Microsoft.Win32.SafeHandles;

namespace Dpo.Weights;

/// <summary>Where a tensor lies in a safetensors file; the offsets are bytes from the beginning of the data.</summary>
internal sealed record SafetensorsEntry(string Name, SafetensorsDtype Dtype, long[] Shape, long Begin, long End);

/// <summary>
/// The header of a safetensors file, with everything it says checked against the file: the tensors cover the data
/// exactly, without overlap or hole, and their lengths follow from shape and type.
/// </summary>
/// <param name="Entries">The tensors in the order of their data.</param>
/// <param name="Metadata">The texts under <c>__metadata__</c>.</param>
/// <param name="DataStart">Where the data begins in the file, in bytes.</param>
internal sealed record SafetensorsHeader(
    IReadOnlyList<SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata, long DataStart)
{
    /// <summary>The name under which a header keeps texts instead of a tensor.</summary>
    public const string MetadataName = "__metadata__";

    private const int LengthBytes = 8;
    private const int MaximumLength = 100_000_000; // the format's own limit

    /// <summary>What a header may have beyond the length of the data: tensors without elements, and texts, have no
    /// data.</summary>
    private const int UnpaidLength = 1 << 20;

    private const int MaximumDimensions = 64; // torch's own limit

    /// <summary>Reads and checks the header of an open file; <paramref name="path"/> is for messages.</summary>
    public static SafetensorsHeader Read(SafeFileHandle file, string path)
    {
        var fileLength = RandomAccess.GetLength(file);
        Span<byte> lengthBytes = stackalloc byte[LengthBytes];
        if (fileLength < LengthBytes || file.ReadUpTo(lengthBytes, 0) < LengthBytes)
            throw new InvalidInputException($"{path} has {fileLength} bytes, too few for a safetensors file.");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(lengthBytes);
        if (length > MaximumLength)
            throw new InvalidInputException(
                $"{path} claims a header of {length} bytes, where safetensors allows {MaximumLength}: " +
                "it is damaged, not a safetensors file, or a Git LFS pointer to one.");
        var dataStart = LengthBytes + (long)length;
        if (dataStart > fileLength)
            throw new InvalidInputException(
                $"{path} claims a header of {length} bytes but holds only {fileLength - LengthBytes} after its length: " +
                "it is truncated or damaged.");

        var dataLength = fileLength - dataStart;
        if ((long)length > UnpaidLength + dataLength)
            throw new InvalidInputException(
                $"{path} has a header of {length} bytes for {dataLength} bytes of tensors, which no model needs: it is damaged " +
                "or means harm.");

        // Allocated only now that the file is known to hold as much.
        var json = new byte[length];
        if (file.ReadUpTo(json, LengthBytes) < json.Length)
            throw new InvalidInputException($"{path} ended while its header was read.");
        var (entries, metadata) = Parse(json, path);
        if (json[0] != (byte)'{')
            throw new InvalidInputException($"{path}: the header does not begin with '{{'.");
        entries = [.. entries.OrderBy(entry => entry.Begin).ThenBy(entry => entry.End)];
        CheckCover(entries, dataLength, path);
        return new SafetensorsHeader(entries, metadata, dataStart);
    }

    /// <summary>Reads the text from its beginning to its end: a tree of it would take thirty times its length.</summary>
    private static (List<SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Parse(byte[] json, string path)
    {
        var source = $"{path}: the header";
        if (!Utf8.IsValid(json))
            throw new InvalidInputException($"{source} is not UTF-8 text.");
        var reader = new Utf8JsonReader(json);
        try
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
                throw new InvalidInputException($"{source} is not a JSON object.");
            var (entries, metadata) = (new List<SafetensorsEntry>(), new Dictionary<string, string>());
            var (names, fields) = (new HashSet<string>(), new HashSet<string>());
            while (NextName(ref reader, names, path) is { } name)
            {
                fields.Clear();
                if (name == MetadataName)
                    metadata = ReadMetadata(ref reader, path);
                else
                    entries.Add(ReadEntry(ref reader, name, fields, path));
            }
            reader.Read(); // nothing may follow
            return (entries, metadata);
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

    /// <summary>Goes to the next value of an object and gives its name; null at the object's end.</summary>
    private static string? NextName(ref Utf8JsonReader reader, HashSet<string> names, string path)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.EndObject)
            return null;
        var name = reader.GetString()!;
        if (!names.Add(name))
            throw new InvalidInputException($"{path}: the header names \"{name}\" twice.");
        reader.Read();
        return name;
    }

    private static Dictionary<string, string> ReadMetadata(ref Utf8JsonReader reader, string path)
    {
        var (metadata, names) = (new Dictionary<string, string>(), new HashSet<string>());
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Wrong();
        while (NextName(ref reader, names, path) is { } name)
            metadata.Add(name, reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw Wrong());
        return metadata;

        InvalidInputException Wrong() => new($"{path}: `{MetadataName}` must be an object of strings.");
    }

    private static SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string tensorName, HashSet<string> fields, string path)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Wrong($" must be an object with `dtype`, `shape` and `data_offsets`.");
        string? type = null;
        long[]? shape = null;
        long[]? offsets = null;
        while (NextName(ref reader, fields, path) is { } field)
        {
            if (field == "dtype" && reader.TokenType == JsonTokenType.String)
                type = reader.GetString();
            else if (field == "shape")
                shape = Integers(ref reader);
            else if (field == "data_offsets")
                offsets = Integers(ref reader);
            else
                reader.Skip();
        }
        if (type is null)
            throw Wrong($": `dtype` must be a string.");
        var dtype = SafetensorsDtype.Named(type)
            ?? throw Wrong($" has the dtype {type}; Dpo reads {SafetensorsDtype.Names}.");
        if (shape is null)
            throw Wrong($": `shape` must be at most {MaximumDimensions} whole numbers from 0 to {long.MaxValue}.");
        if (offsets is not [var begin, var end] || begin > end)
            throw Wrong($": `data_offsets` must be two whole numbers, begin and end, ascending from 0.");

        if (ByteCount(shape, dtype.Size) is not { } bytes)
            throw Wrong($": the shape [{string.Join(", ", shape)}] is too large for any file.");
        if (end - begin != bytes)
            throw Wrong($" takes {end - begin} bytes by its `data_offsets`, " +
                $"but {bytes} by its shape [{string.Join(", ", shape)}] and dtype {dtype.Name}.");
        return new SafetensorsEntry(tensorName, dtype, shape, begin, end);

        InvalidInputException Wrong(string problem) => new($"{path}: tensor \"{tensorName}\"{problem}");
    }

    /// <summary>An array of at most <see cref="MaximumDimensions"/> whole numbers from 0 on, or null where there is anything
    /// else, which is passed over.</summary>
    private static long[]? Integers(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return null;
        }
        Span<long> values = stackalloc long[MaximumDimensions];
        var (count, valid) = (0, true);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            valid &= count < MaximumDimensions && reader.TokenType == JsonTokenType.Number
                && reader.TryGetInt64(out values[count]) && values[count] >= 0;
            count += valid ? 1 : 0;
            reader.Skip();
        }
        return valid ? values[..count].ToArray() : null;
    }

    private static long? ByteCount(long[] shape, int elementSize)
    {
        // A zero must not hide other dimensions that overflow, since torch multiplies those into strides.
        long product = elementSize;
        foreach (var dimension in shape)
        {
            if (Math.Max(dimension, 1) > long.MaxValue / product)
                return null;
            product *= Math.Max(dimension, 1);
        }
        return shape.Contains(0) ? 0 : product;
    }

    private static void CheckCover(List<SafetensorsEntry> entries, long dataLength, string path)
    {
        long covered = 0;
        var previous = "";
        foreach (var entry in entries)
        {
            if (entry.End > dataLength)
                throw new InvalidInputException(
                    $"{path}: tensor \"{entry.Name}\" ends at byte {entry.End} of the data, " +
                    $"of which the file holds {dataLength}: it is truncated or damaged.");
            if (entry.Begin < covered)
                throw new InvalidInputException(
                    $"{path}: tensor \"{entry.Name}\" begins at byte {entry.Begin} of the data, inside tensor \"{previous}\", " +
                    $"which ends at {covered}.");
            if (entry.Begin > covered)
                throw new InvalidInputException(
                    $"{path}: tensor \"{entry.Name}\" begins at byte {entry.Begin} of the data, " +
                    $"but the tensors before it end at {covered}.");
            covered = entry.End;
            previous = entry.Name;
        }
        if (covered < dataLength)
            throw new InvalidInputException($"{path} holds {dataLength} bytes of data, but its tensors end at {covered}.");
    }
}
