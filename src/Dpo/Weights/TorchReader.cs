using Dpo.Files;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>
/// Reads tensors from what <c>torch.save</c> makes of a state dict (<c>pytorch_model.bin</c>), and executes nothing that the file
/// holds. Tensors are read in place: beside the tensor that is filled only one chunk of 4 MiB is held in memory.
/// </summary>
/// <remarks>
/// The file is a zip archive of uncompressed entries: <c>data.pkl</c>, a pickle that says which tensor is which view of which
/// storage, a storage an entry (<c>data/0</c>, <c>data/1</c>, …), and since torch 2.1 <c>byteorder</c>.
/// </remarks>
internal sealed class TorchReader : IWeightFile
{
    private const string PickleName = "/data.pkl";

    /// <summary>About twenty-five thousand tensors. A pickle that means harm makes about a hundred times its length in
    /// values.</summary>
    private const int MaximumEntryLength = 4 << 20;

    private readonly SafeFileHandle file;
    private readonly Dictionary<string, StoredTensor> tensors = new(StringComparer.Ordinal);

    /// <summary>Opens a file and checks everything it says of its tensors.</summary>
    /// <exception cref="InvalidInputException">The file cannot be opened, is damaged, or holds something else than a plain
    /// state dict; the message names what and where.</exception>
    public TorchReader(string path)
    {
        Path = path;
        file = RegularFile.OpenHandle(path);
        try
        {
            Names = ReadStateDict();
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public string Path { get; }

    public IReadOnlyList<string> Names { get; }

    public IReadOnlyList<long> Shape(string name) => Stored(name).Shape;

    public bool Holds(string name, Tensor values) => Stored(name).Equals(file, Path, values);

    public void ReadInto(string name, Tensor target) => Stored(name).ReadInto(file, Path, target);

    public void Dispose() => file.Dispose();

    private StoredTensor Stored(string name) =>
        tensors.GetValueOrDefault(name) ?? throw new InvalidInputException($"{Path} has no tensor \"{name}\".");

    private string[] ReadStateDict()
    {
        CheckFormat();
        var entries = ZipDirectory.Read(file, Path);
        var pickles = entries.Keys.Where(name => name.EndsWith(PickleName, StringComparison.Ordinal)).ToList();
        if (pickles is not [var pickle])
            throw new InvalidInputException(
                $"{Path} is a zip archive with {pickles.Count} entries data.pkl, where a state dict saved by torch.save has " +
                "one.");
        var folder = pickle[..^PickleName.Length];
        var bigEndian = IsBigEndian(entries, folder);
        if (PickleMachine.Run(Path, Read(entries[pickle], pickle)) is not OrderedDictionary<string, object?> dict)
            throw new InvalidInputException($"{Path} holds no dict of tensors; save the model's state dict.");
        foreach (var (name, value) in dict)
        {
            var tensor = value as PickledTensor
                ?? throw new InvalidInputException(
                    $"{Path}: \"{name}\" is no tensor; save the model's state dict and nothing else.");
            tensors.Add(name, Locate(name, tensor, entries, $"{folder}/data/{tensor.Storage.Key}", bigEndian));
        }
        return [.. dict.Keys];
    }

    private void CheckFormat()
    {
        Span<byte> start = stackalloc byte[14];
        start = start[..file.ReadUpTo(start, 0)];
        if (start.StartsWith("PK\x3\x4"u8))
            return;
        // The number with which torch's files began before version 1.6, pickled.
        if (start.SequenceEqual(
            (ReadOnlySpan<byte>)[0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]))
            throw new InvalidInputException(
                $"{Path} has the format that torch.save wrote before version 1.6, which Dpo does not read: " +
                "load and save it with a newer torch, best as model.safetensors.");
        throw new InvalidInputException(
            $"{Path} does not begin as a file of torch.save does: it is damaged, something else, or a Git LFS pointer to one.");
    }

    private bool IsBigEndian(Dictionary<string, ZipEntry> entries, string folder)
    {
        var name = $"{folder}/byteorder";
        if (!entries.TryGetValue(name, out var entry))
            return false;
        var order = entry.Length <= 6 ? Read(entry, name) : [];
        if (!order.AsSpan().SequenceEqual("little"u8) && !order.AsSpan().SequenceEqual("big"u8))
            throw new InvalidInputException($"{Path}: the entry \"{name}\" must be \"little\" or \"big\".");
        return order[0] == 'b';
    }

    private byte[] Read(ZipEntry entry, string name)
    {
        if (entry.Length > MaximumEntryLength)
            throw new InvalidInputException(
                $"{Path}: the entry \"{name}\" has {entry.Length} bytes; at most {MaximumEntryLength} are read of it.");
        var bytes = new byte[entry.Length];
        if (file.ReadUpTo(bytes, entry.Position) < bytes.Length)
            throw new InvalidInputException($"{Path} ended while the entry \"{name}\" was read.");
        return bytes;
    }

    private StoredTensor Locate(
        string name, PickledTensor pickled, Dictionary<string, ZipEntry> entries, string storageName, bool bigEndian)
    {
        var ((dtype, _, count), offset, _, _) = pickled;
        var (shape, strides) = (pickled.Shape.Cast<long>().ToArray(), pickled.Strides.Cast<long>().ToArray());
        if (!entries.TryGetValue(storageName, out var storage))
            throw new InvalidInputException($"{Path}: tensor \"{name}\" lies in \"{storageName}\", which the file lacks.");
        if (storage.Length % dtype.Size != 0 || storage.Length / dtype.Size != count)
            throw new InvalidInputException(
                $"{Path}: tensor \"{name}\" lies in \"{storageName}\", which should hold {count} numbers of type {dtype.Name} " +
                $"but has {storage.Length} bytes.");
        if (shape.Length != strides.Length || offset < 0 || shape.Concat(strides).Any(number => number < 0)
            || StoredTensor.Extent(shape, strides) is not { } extent || extent > count - offset)
            throw new InvalidInputException(
                $"{Path}: tensor \"{name}\" of the shape [{string.Join(", ", shape)}] with the strides " +
                $"[{string.Join(", ", strides)}] from {offset} on does not fit the {count} numbers of \"{storageName}\".");
        return new StoredTensor(name, dtype, shape, strides, storage.Position + offset * dtype.Size, bigEndian);
    }
}
