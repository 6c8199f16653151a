using Dpo.Files;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>
/// Reads tensors from a file in Hugging Face's safetensors format, streamed: beside the tensor that is filled only one
/// chunk of 4 MiB is held in memory, however large the file is.
/// </summary>
/// <remarks>
/// The format is a header length (8 bytes, little-endian), a JSON header that gives every tensor's type, shape and place,
/// and the data (https://github.com/huggingface/safetensors). The whole header is checked when the file is opened.
/// The file stays open until <see cref="Dispose"/>.
/// <code>
/// using var file = new SafetensorsReader("model.safetensors");
/// foreach (var name in file.Names)
///     Console.WriteLine($"{name} {file.Dtype(name)} [{string.Join(", ", file.Shape(name))}]");
/// using var embedding = file.Read("transformer.wte.weight");
/// </code>
/// </remarks>
public sealed class SafetensorsReader : IWeightFile
{
    private readonly SafeFileHandle file;
    private readonly SafetensorsHeader header;
    private readonly Dictionary<string, SafetensorsEntry> entries;

    /// <summary>Opens a file and checks its header.</summary>
    /// <param name="path">The file, usually <c>model.safetensors</c>.</param>
    /// <exception cref="InvalidInputException">The file cannot be opened, is truncated, or its header contradicts itself or
    /// the file; the message names the file and, where there is one, the tensor.</exception>
    public SafetensorsReader(string path)
    {
        Path = path;
        file = RegularFile.OpenHandle(path);
        try
        {
            header = SafetensorsHeader.Read(file, path);
        }
        catch
        {
            file.Dispose();
            throw;
        }
        Names = [.. header.Entries.Select(entry => entry.Name)];
        entries = header.Entries.ToDictionary(entry => entry.Name);
    }

    /// <summary>The file's path, as it was given.</summary>
    public string Path { get; }

    /// <summary>The names of the tensors, in the order in which their data lies in the file.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The texts that the file carries beside its tensors, such as <c>format: pt</c>; often empty.</summary>
    public IReadOnlyDictionary<string, string> Metadata => header.Metadata;

    /// <summary>The element type in which a tensor is stored.</summary>
    /// <exception cref="InvalidInputException">The file has no tensor of this name.</exception>
    public ScalarType Dtype(string name) => Entry(name).Dtype.ScalarType;

    /// <summary>The size of each of a tensor's dimensions; empty for a single number.</summary>
    /// <exception cref="InvalidInputException">The file has no tensor of this name.</exception>
    public IReadOnlyList<long> Shape(string name) => Entry(name).Shape;

    /// <summary>Reads a tensor onto the CPU in the type it is stored in. The caller, or its dispose scope, disposes it.</summary>
    /// <exception cref="InvalidInputException">The file has no tensor of this name, or it shrank since it was opened.</exception>
    public Tensor Read(string name)
    {
        var entry = Entry(name);
        var tensor = empty(entry.Shape, dtype: entry.Dtype.ScalarType, device: CPU);
        try
        {
            ReadInto(name, tensor);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Fills an existing tensor, on whatever device and contiguous or not (a transposed view will do), without recording
    /// gradients. Floating-point values are converted to the target's floating-point type; other types must be equal.
    /// </summary>
    /// <param name="name">The tensor's name in the file.</param>
    /// <param name="target">A tensor of the same shape, such as a model's parameter.</param>
    /// <exception cref="InvalidInputException">The file has no tensor of this name, its shape is another or its type cannot
    /// be converted, or the file shrank since it was opened.</exception>
    public void ReadInto(string name, Tensor target)
    {
        ArgumentNullException.ThrowIfNull(target);
        Stored(name).ReadInto(file, Path, target);
    }

    bool IWeightFile.Holds(string name, Tensor values) => Stored(name).Equals(file, Path, values);

    /// <summary>Closes the file.</summary>
    public void Dispose() => file.Dispose();

    private StoredTensor Stored(string name)
    {
        var entry = Entry(name);
        return new StoredTensor(
            name, entry.Dtype, entry.Shape, StoredTensor.ContiguousStrides(entry.Shape), header.DataStart + entry.Begin);
    }

    private SafetensorsEntry Entry(string name) =>
        entries.GetValueOrDefault(name) ?? throw new InvalidInputException($"{Path} has no tensor \"{name}\".");
}
