using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>One of the element types of the safetensors format that torch knows as well.</summary>
/// <param name="Name">Its name in a header, such as <c>BF16</c>.</param>
/// <param name="ScalarType">Its name in TorchSharp.</param>
/// <param name="Size">Bytes of one element.</param>
internal sealed record SafetensorsDtype(string Name, ScalarType ScalarType, int Size)
{
    private static readonly SafetensorsDtype[] all =
    [
        new("F64", ScalarType.Float64, 8),
        new("F32", ScalarType.Float32, 4),
        new("F16", ScalarType.Float16, 2),
        new("BF16", ScalarType.BFloat16, 2),
        new("I64", ScalarType.Int64, 8),
        new("I32", ScalarType.Int32, 4),
        new("I16", ScalarType.Int16, 2),
        new("I8", ScalarType.Int8, 1),
        new("U8", ScalarType.Byte, 1),
        new("BOOL", ScalarType.Bool, 1),
    ];

    /// <summary>The names of all of them, for messages.</summary>
    public static string Names => string.Join(", ", all.Select(dtype => dtype.Name));

    /// <summary>Whether its values are real numbers, which may be converted to another real type.</summary>
    public bool IsFloatingPoint => is_floating_point(ScalarType);

    /// <summary>The type with this name in a header, or null.</summary>
    public static SafetensorsDtype? Named(string name) => Array.Find(all, dtype => dtype.Name == name);

    /// <summary>The type of a tensor's elements, or null where the format has none for it.</summary>
    public static SafetensorsDtype? Of(ScalarType type) => Array.Find(all, dtype => dtype.ScalarType == type);
}
