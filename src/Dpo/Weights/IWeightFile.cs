using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>A file of named tensors, opened and checked, from which one tensor after the other is read into place.</summary>
internal interface IWeightFile : IDisposable
{
    /// <summary>The file's path, as it was given.</summary>
    public string Path { get; }

    /// <summary>The names of its tensors, in the order of the file.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The size of each of a tensor's dimensions.</summary>
    public IReadOnlyList<long> Shape(string name);

    /// <summary>Whether a tensor of the same shape holds what <see cref="ReadInto"/> would fill it with.</summary>
    public bool Holds(string name, Tensor values);

    /// <summary>Fills an existing tensor of the same shape; floating-point values are converted to its type.</summary>
    public void ReadInto(string name, Tensor target);
}
