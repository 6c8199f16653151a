using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Dpo;

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
    private const int MaximumDimensions = 64; // torch's own limit

    /// <summary>Reads and checks the header of an open file; <paramref name="path"/> is for messages.</summary>
    public static SafetensorsHeader Read(SafeFileHandle file, string path)
    {
        var fileLength = RandomAccess.GetLength(file);
        Span<byte> lengthBytes = stackalloc byte[LengthBytes];
        if (fileLength < LengthBytes || RandomAccess.Read(file, lengthBytes, 0) < LengthBytes)
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

        // Allocated only now that the file is known to hold as much.
        var json = new byte[length];
        if (RandomAccess.Read(file, json, LengthBytes) < json.Length)
            throw new InvalidInputException($"{path} ended while its header was read.");
        var root = StrictJson.Parse($"{path}: the header", json);
        if (json[0] != (byte)'{')
            throw new InvalidInputException($"{path}: the header does not begin with '{{'.");

        var metadata = new Dictionary<string, string>();
        var entries = new List<SafetensorsEntry>();
        foreach (var property in root.EnumerateObject())
        {
            if (property.Name == MetadataName)
                metadata = ReadMetadata(property.Value, path);
            else
                entries.Add(ReadEntry(property, path));
        }
        entries = [.. entries.OrderBy(entry => entry.Begin).ThenBy(entry => entry.End)];
        CheckCover(entries, fileLength - dataStart, path);
        return new SafetensorsHeader(entries, metadata, dataStart);
    }

    private static Dictionary<string, string> ReadMetadata(JsonElement element, string path)
    {
        if (element.ValueKind != JsonValueKind.Object
            || element.EnumerateObject().Any(property => property.Value.ValueKind != JsonValueKind.String))
            throw new InvalidInputException($"{path}: `{MetadataName}` must be an object of strings.");
        return element.EnumerateObject().ToDictionary(property => property.Name, property => property.Value.GetString()!);
    }

    private static SafetensorsEntry ReadEntry(JsonProperty property, string path)
    {
        var tensor = $"{path}: tensor \"{property.Name}\"";
        if (property.Value.ValueKind != JsonValueKind.Object)
            throw new InvalidInputException($"{tensor} must be an object with `dtype`, `shape` and `data_offsets`.");
        if (!property.Value.TryGetProperty("dtype", out var name) || name.ValueKind != JsonValueKind.String)
            throw new InvalidInputException($"{tensor}: `dtype` must be a string.");
        var dtype = SafetensorsDtype.Named(name.GetString()!) ?? throw new InvalidInputException(
            $"{tensor} has the dtype {name.GetString()}; Dpo reads {SafetensorsDtype.Names}.");
        var shape = Integers(property.Value, "shape");
        if (shape is null || shape.Length > MaximumDimensions)
            throw new InvalidInputException(
                $"{tensor}: `shape` must be at most {MaximumDimensions} whole numbers from 0 to {long.MaxValue}.");
        var offsets = Integers(property.Value, "data_offsets");
        if (offsets is not [var begin, var end] || begin > end)
            throw new InvalidInputException(
                $"{tensor}: `data_offsets` must be two whole numbers, begin and end, ascending from 0.");

        if (ByteCount(shape, dtype.Size) is not { } bytes)
            throw new InvalidInputException($"{tensor}: the shape [{string.Join(", ", shape)}] is too large for any file.");
        if (end - begin != bytes)
            throw new InvalidInputException(
                $"{tensor} takes {end - begin} bytes by its `data_offsets`, " +
                $"but {bytes} by its shape [{string.Join(", ", shape)}] and dtype {dtype.Name}.");
        return new SafetensorsEntry(property.Name, dtype, shape, begin, end);
    }

    /// <summary>An array of non-negative 64-bit whole numbers, or null where the field is anything else.</summary>
    private static long[]? Integers(JsonElement entry, string field)
    {
        if (!entry.TryGetProperty(field, out var array) || array.ValueKind != JsonValueKind.Array)
            return null;
        var values = new List<long>();
        foreach (var item in array.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out var value) || value < 0)
                return null;
            values.Add(value);
        }
        return [.. values];
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
