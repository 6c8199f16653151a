using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Files as torch.save writes them, put together opcode by opcode.</summary>
internal static class TorchFile
{
    /// <summary>A whole file. Every tensor has a storage of its own.</summary>
    public static byte[] StateDict(IEnumerable<(string Name, Tensor Tensor)> tensors, bool bigEndian = false)
    {
        var pickle = new Pickle().Begin();
        var storages = new List<byte[]>();
        foreach (var (name, tensor) in tensors)
        {
            var bytes = tensor.contiguous().cpu().bytes.ToArray();
            if (bigEndian)
                bytes = [.. bytes.Chunk((int)tensor.ElementSize).SelectMany(element => element.Reverse())];
            var strides = StoredTensor.ContiguousStrides(tensor.shape);
            pickle.Text(name).Tensor(Storage(tensor.dtype), $"{storages.Count}", (int)tensor.numel(), 0, tensor.shape, strides);
            storages.Add(bytes);
        }
        return Archive(pickle.End(), storages, bigEndian ? "big" : "little");
    }

    /// <summary>The archive of a pickle and its storages; <paramref name="byteOrder"/> null leaves that entry out.</summary>
    public static byte[] Archive(byte[] pickle, IEnumerable<byte[]> storages, string? byteOrder = "little")
    {
        var entries = new List<(string, byte[])> { ("archive/data.pkl", pickle) };
        if (byteOrder is not null)
            entries.Add(("archive/byteorder", Encoding.ASCII.GetBytes(byteOrder)));
        entries.AddRange(storages.Select((bytes, index) => ($"archive/data/{index}", bytes)));
        entries.Add(("archive/version", "3\n"u8.ToArray()));
        return Zip(entries);
    }

    public static byte[] Zip(IEnumerable<(string Name, byte[] Bytes)> entries, CompressionLevel compression = CompressionLevel.NoCompression)
    {
        using var stream = new MemoryStream();
        using (var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, bytes) in entries)
            {
                using var entry = archive.CreateEntry(name, compression).Open();
                entry.Write(bytes);
            }
        }
        return stream.ToArray();
    }

    private static string Storage(ScalarType type) => type switch
    {
        ScalarType.Float32 => "Float",
        ScalarType.Float16 => "Half",
        ScalarType.BFloat16 => "BFloat16",
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>Opcodes of protocol 2, in the order in which torch.save writes those of a state dict.</summary>
    internal sealed class Pickle
    {
        private readonly List<byte> bytes = [];
        private byte memo;

        public Pickle Op(params byte[] opcodes)
        {
            bytes.AddRange(opcodes);
            return this;
        }

        public Pickle Op(string opcodes) => Op(Encoding.UTF8.GetBytes(opcodes));

        public Pickle Begin() => Op(0x80, 2).Global("collections", "OrderedDict").Op(")R").Put().Op("(");

        /// <summary>The items end, and the dict gets the versions of its modules as an attribute, as torch's have them.</summary>
        public byte[] End() => Op("u}").Put().Text("_metadata").Global("collections", "OrderedDict").Op(")R").Put()
            .Op("(").Text("").Op("}").Put().Text("version").Int(1).Op("susb.").ToArray();

        public Pickle Global(string module, string name) => Op($"c{module}\n{name}\n").Put();

        public Pickle Text(string text)
        {
            var utf8 = Encoding.UTF8.GetBytes(text);
            Span<byte> length = stackalloc byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(length, utf8.Length);
            return Op("X").Op(length.ToArray()).Op(utf8).Put();
        }

        public Pickle Int(long value)
        {
            Span<byte> number = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(number, value);
            return value switch
            {
                >= 0 and <= byte.MaxValue => Op("K").Op(number[0]),
                >= 0 and <= ushort.MaxValue => Op("M").Op(number[..2].ToArray()),
                >= int.MinValue and <= int.MaxValue => Op("J").Op(number[..4].ToArray()),
                _ => Op(0x8A, 8).Op(number.ToArray()),
            };
        }

        public Pickle Tensor(string storage, string key, long count, long offset, long[] shape, long[] strides) =>
            Global("torch._utils", "_rebuild_tensor_v2").Op("((").Text("storage").Global("torch", $"{storage}Storage")
                .Text(key).Text("cpu").Int(count).Op("t").Put().Op("Q").Int(offset).Ints(shape).Ints(strides)
                .Op(0x89).Global("collections", "OrderedDict").Op(")R").Put().Op("t").Put().Op("R").Put();

        public byte[] ToArray() => [.. bytes];

        private Pickle Ints(long[] values)
        {
            if (values.Length == 0)
                return Op(")");
            if (values.Length > 3)
                Op("(");
            foreach (var value in values)
                Int(value);
            return (values.Length <= 3 ? Op((byte)(0x84 + values.Length)) : Op("t")).Put();
        }

        /// <summary>torch keeps whatever it makes, in case it comes again; few of it ever does.</summary>
        private Pickle Put() => Op("q").Op(memo++);
    }
}
