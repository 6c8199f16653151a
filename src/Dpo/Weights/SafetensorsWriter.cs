using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Dpo.Files;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Writes tensors to a file in Hugging Face's safetensors format, from which transformers loads them.</summary>
public static class SafetensorsWriter
{
    private const string FormatName = "format";

    private static readonly JsonWriterOptions json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// Writes the tensors in the order given, except that types of larger elements come first, so that every tensor lies
    /// aligned. They are streamed: at most a piece of 4 MiB is copied at a time. The same tensors give the same bytes.
    /// </summary>
    /// <remarks>The file appears whole or not at all: it is written under a temporary name in the same folder, flushed to the
    /// disk and renamed; after a failure the old file is as it was.</remarks>
    /// <param name="path">The file to write or replace, usually <c>model.safetensors</c>.</param>
    /// <param name="tensors">Names, each once, and tensors: of any shape, on any device, contiguous or not.</param>
    /// <param name="metadata">Texts to carry beside the tensors, for <see cref="SafetensorsReader.Metadata"/>; written sorted by
    /// name, after <c>format: pt</c>, which every file carries.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is <c>__metadata__</c>, a text is named <c>format</c>, or a
    /// tensor's type is complex or quantized, which the format does not know.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(
        string path, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        metadata ??= new Dictionary<string, string>();
        if (metadata.ContainsKey(FormatName))
            throw new ArgumentException($"The text \"{FormatName}\" is written by the writer itself.", nameof(metadata));
        var entries = new List<(SafetensorsEntry Entry, Tensor Tensor)>();
        var names = new HashSet<string> { SafetensorsHeader.MetadataName };
        long end = 0;
        foreach (var (name, tensor) in tensors.OrderByDescending(item => item.Tensor.ElementSize))
        {
            if (!names.Add(name))
                throw new ArgumentException(
                    $"The name \"{name}\" is taken: a safetensors file names every tensor once.", nameof(tensors));
            var dtype = SafetensorsDtype.Of(tensor.dtype) ?? throw new ArgumentException(
                $"Tensor \"{name}\" is of the type {tensor.dtype}; safetensors stores {SafetensorsDtype.Names}.",
                nameof(tensors));
            var begin = end;
            end += tensor.numel() * dtype.Size;
            entries.Add((new SafetensorsEntry(name, dtype, tensor.shape, begin, end), tensor));
        }
        var header = Header(entries.Select(item => item.Entry), metadata);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            using var noGradients = no_grad();
            foreach (var (entry, tensor) in entries)
                TensorPieces.ForEach(
                    tensor, TensorPieces.MaximumBytes / entry.Dtype.Size, piece => stream.Write(piece.cpu().contiguous().bytes));
        });
    }

    /// <summary>Writes a file of one tensor that no memory need hold: whole or not at all, as the other overload does.</summary>
    /// <param name="path">The file.</param>
    /// <param name="entry">The tensor, at the beginning of the data.</param>
    /// <param name="metadata">As for the other overload.</param>
    /// <param name="write">Writes the tensor's bytes.</param>
    internal static void Write(
        string path, SafetensorsEntry entry, IReadOnlyDictionary<string, string> metadata, Action<Stream> write) =>
        AtomicFile.Write(path, stream =>
        {
            stream.Write(Header([entry], metadata));
            write(stream);
        });

    private static byte[] Header(IEnumerable<SafetensorsEntry> entries, IReadOnlyDictionary<string, string> metadata)
    {
        const int LengthBytes = 8;
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Write(new byte[LengthBytes]); // the length, known only at the end
        using (var writer = new Utf8JsonWriter(buffer, json))
        {
            writer.WriteStartObject();
            writer.WriteStartObject(SafetensorsHeader.MetadataName);
            writer.WriteString(FormatName, "pt"); // transformers refuses files that do not say so
            foreach (var (name, text) in metadata.OrderBy(item => item.Key, StringComparer.Ordinal))
                writer.WriteString(name, text);
            writer.WriteEndObject();
            foreach (var entry in entries)
            {
                writer.WriteStartObject(entry.Name);
                writer.WriteString("dtype", entry.Dtype.Name);
                WriteArray(writer, "shape", entry.Shape);
                WriteArray(writer, "data_offsets", [entry.Begin, entry.End]);
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        // Padded with spaces, as the format allows, so that the data begins at a multiple of eight bytes.
        while (buffer.WrittenCount % 8 != 0)
            buffer.Write(" "u8);
        var bytes = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - LengthBytes);
        return bytes;
    }

    private static void WriteArray(Utf8JsonWriter writer, string name, long[] values)
    {
        writer.WriteStartArray(name);
        foreach (var value in values)
            writer.WriteNumberValue(value);
        writer.WriteEndArray();
    }
}
