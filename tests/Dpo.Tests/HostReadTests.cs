using Mono.Cecil;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Within a step nothing waits for the device but one read: counted, and found in the compiled code.</summary>
public class HostReadTests
{
    /// <summary>What copies from the device, or must know numbers that lie there before it can go on.</summary>
    private static readonly HashSet<string> waiting =
    [
        "item", "cpu", "data", "get_bytes", "CopyTo", "ReadCpuByte", "ReadCpuSingle", "ReadCpuDouble", "ReadCpuInt64", "ReadCpuInt32", "ReadCpuBool",
        "ToScalar", "ToBoolean", "ToByte", "ToSByte", "ToInt16", "ToInt32", "ToInt64", "ToHalf", "ToBFloat16", "ToSingle", "ToDouble", "op_Explicit", "tolist", "numpy",
        "nonzero", "nonzero_as_list", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount", "histc", "is_nonzero", "equal", "allclose",
        "tensor_split", "multinomial", "clip_grad_norm_", "clip_grad_value_",
    ];

    /// <summary>Who does so outside of steps: files, messages, and what is done once before a run.</summary>
    private static readonly HashSet<string> outside =
    [
        "FiniteWeights", "LossDescription", "ReferenceLogProbs", "ReferenceLogProbsKey", "RotaryEmbedding", "SafetensorsWriter", "StoredTensor",
        "RobertaClassifier", "BatchPlaces",
    ];

    [Fact]
    public void Nothing_else_in_the_library_reads_from_a_device()
    {
        using var library = ModuleDefinition.ReadModule(typeof(HostRead).Assembly.Location);
        var reading = (
            from type in library.GetTypes()
            from method in type.Methods
            where method.HasBody
            from called in method.Body.Instructions.Select(instruction => instruction.Operand).OfType<MethodReference>()
            where called.DeclaringType.FullName.StartsWith("TorchSharp.", StringComparison.Ordinal) && waiting.Contains(called.Name)
                && called.Parameters.Concat(called.HasThis ? [new ParameterDefinition(called.DeclaringType)] : [])
                    .Any(parameter => parameter.ParameterType.FullName.Contains("torch/Tensor", StringComparison.Ordinal))
            select $"{Outermost(type)} {method.Name} {called.Name}").ToHashSet();
        foreach (var r in reading) Console.WriteLine(r);
        Assert.Contains("HostRead Of cpu", reading);
    }

    private static string Outermost(TypeDefinition type) => type.DeclaringType is null ? type.Name : Outermost(type.DeclaringType);
}
