using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Numbers of one type, in an entry of their own of a PyTorch file.</summary>
/// <param name="Dtype">The type of the numbers.</param>
/// <param name="Key">The entry is <c>data/{Key}</c>.</param>
/// <param name="Count">How many numbers there are.</param>
internal sealed record PickledStorage(SafetensorsDtype Dtype, string Key, long Count);

/// <summary>A view of a storage; nothing about it is checked yet but that it has no more dimensions than torch knows, and that
/// sizes and strides are of type <see cref="long"/>. They stay the pickle's own tuples, which any number of tensors may
/// share.</summary>
internal sealed record PickledTensor(PickledStorage Storage, long Offset, object?[] Shape, object?[] Strides);

/// <summary>The names that a pickled state dict may use, and what they make. There are no others.</summary>
internal static class StateDictGlobals
{
    private const int MaximumDimensions = 64; // torch's own limit
    private const string OrderedDict = "collections.OrderedDict";
    private const string RebuildTensor = "torch._utils._rebuild_tensor_v2";
    private const string RebuildParameter = "torch._utils._rebuild_parameter";

    private static readonly Dictionary<string, object> globals = new()
    {
        [OrderedDict] = new Function(OrderedDict),
        [RebuildTensor] = new Function(RebuildTensor),
        [RebuildParameter] = new Function(RebuildParameter),
        ["torch.DoubleStorage"] = Stored(ScalarType.Float64),
        ["torch.FloatStorage"] = Stored(ScalarType.Float32),
        ["torch.HalfStorage"] = Stored(ScalarType.Float16),
        ["torch.BFloat16Storage"] = Stored(ScalarType.BFloat16),
        ["torch.LongStorage"] = Stored(ScalarType.Int64),
        ["torch.IntStorage"] = Stored(ScalarType.Int32),
        ["torch.ShortStorage"] = Stored(ScalarType.Int16),
        ["torch.CharStorage"] = Stored(ScalarType.Int8),
        ["torch.ByteStorage"] = Stored(ScalarType.Byte),
        ["torch.BoolStorage"] = Stored(ScalarType.Bool),
    };

    /// <summary>A callable, known by its name alone.</summary>
    private sealed record Function(string Name);

    /// <summary>What a name stands for, or null where it is not on the list.</summary>
    public static object? Find(string name) => globals.GetValueOrDefault(name);

    /// <summary>The storage that a persistent id names; null where it is not as torch writes it.</summary>
    public static PickledStorage? Storage(object? id) =>
        id is object?[] and ["storage", SafetensorsDtype type, string key, string, long count]
            ? new PickledStorage(type, key, count)
            : null;

    /// <summary>What calling a function makes; null where the arguments are not those that torch writes.</summary>
    public static object? Call(object? function, object?[]? arguments) => ((function as Function)?.Name, arguments) switch
    {
        (OrderedDict, []) => new OrderedDictionary<string, object?>(),
        (RebuildTensor, [PickledStorage storage, long offset, object?[] shape, object?[] strides, bool, not null, ..])
            when arguments.Length <= 7 && shape.Length <= MaximumDimensions && strides.Length <= MaximumDimensions
                && shape.All(size => size is long) && strides.All(stride => stride is long) =>
            new PickledTensor(storage, offset, shape, strides),
        (RebuildParameter, [PickledTensor data, bool, not null]) => data,
        _ => null,
    };

    private static SafetensorsDtype Stored(ScalarType type) => SafetensorsDtype.Of(type)!;
}
