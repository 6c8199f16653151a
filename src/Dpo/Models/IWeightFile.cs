using static TorchSharp.torch;

namespace Dpo;

/// <summary>A file of named tensors, opened and checked, from which one tensor after the other is read into place.</summary>
internal interface IWeightFile : IDisposable
{
    /// <summary>The file's path, as it was given.</summary>
    public string Path { get; }

    /// <summary>The names of its tensors, in the order of the file.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Fills an existing tensor of the same shape; floating-point values are converted to its type.</summary>
    public void ReadInto(string name, Tensor target);
}
