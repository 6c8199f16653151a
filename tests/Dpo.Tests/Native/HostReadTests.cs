using Mono.Cecil;
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

    /// <summary>Who does so outside of steps: files, messages, what is done once before a run, generation; and who reads the CPU's memory
    /// alone.</summary>
    private static readonly HashSet<string> outside =
    [
        "FiniteWeights", "LossDescription", "ReferenceLogProbs", "TensorDigest", "RotaryEmbedding", "SafetensorsWriter",
        "StoredTensor", "RobertaClassifier", "Evaluator", "WholeSampling", "HostDraw", "HostCopy", "TensorMemory", "TrainedState",
    ];

    [Fact]
    public void Nothing_else_that_steps_run_through_waits_for_a_device()
    {
        using var library = ModuleDefinition.ReadModule(typeof(HostRead).Assembly.Location);
        var found = (
            from type in library.GetTypes()
            from method in type.Methods
            where method.HasBody
            from called in method.Body.Instructions.Select(instruction => instruction.Operand).OfType<MethodReference>()
            where waiting.Contains(called.Name) && IsOfTensors(called)
            where !outside.Contains(Outermost(type))
            select $"{Outermost(type)} calls {called.Name}").ToHashSet();
        Assert.Equal(["HostRead calls cpu", "HostRead calls data"], found.Order());
    }

    /// <summary>Micro-batches, a second pass over them, detailed metrics and clipping: all of a step is read at once. The last step's weights
    /// are looked at behind it, and held-out data are read once each.</summary>
    [Theory]
    [InlineData("sigmoid", OptimizerKind.RmsProp)]
    [InlineData("wpo ld apo_zero sft", OptimizerKind.AdamW)]
    [InlineData("aot", OptimizerKind.RmsProp)]
    [InlineData("kto", OptimizerKind.AdamW)]
    [InlineData("beta_dpo", OptimizerKind.RmsProp)]
    [InlineData("sampo tdpo2", OptimizerKind.RmsProp)]
    public void A_step_reads_once_and_an_evaluation_once(string loss, OptimizerKind optimizer)
    {
        using var strategies = DeviceStrategies.OnCpu();
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, LossFamilyTests.Named(loss).Create(), TrainerTests.Options with
        {
            Steps = 4,
            BatchSize = 6,
            MicroBatchSize = 1,
            EvaluateFirst = true,
            DetailedMetrics = true,
            Optimizer = optimizer,
            WeightDecay = 0,
        });
        var data = LossFamilyTests.Data(12, labelled: loss == "kto");
        var reads = new List<int> { HostRead.Count };
        trainer.Train(data, data, new TrainerTests.Callback(_ => reads.Add(HostRead.Count)));
        Assert.Equal([1, 1, 1, 1, 3], reads.Zip(reads.Skip(1), (before, after) => after - before));
    }

    [Fact]
    public void Tensors_are_read_together_as_they_are()
    {
        using var scope = NewDisposeScope();
        var gradient = tensor(0.1f, requires_grad: true);
        Assert.Equal(
            [1.0, 2, 3, 4, (double)0.1f, 0.1, 0.5, double.NaN, double.NegativeInfinity],
            HostRead.Of(
                tensor(new float[,] { { 1, 3 }, { 2, 4 } }).t(), gradient, tensor(0.1, float64), zeros(0), tensor([0.5, double.NaN, double.NegativeInfinity], bfloat16)));
    }

    private static bool IsOfTensors(MethodReference called) =>
        called.DeclaringType.FullName.StartsWith("TorchSharp.", StringComparison.Ordinal)
        && called.Parameters.Select(parameter => parameter.ParameterType).Append(called.DeclaringType)
            .Any(type => type.FullName.Contains("torch/Tensor", StringComparison.Ordinal) || type.FullName.Contains("Modules.Parameter", StringComparison.Ordinal));

    private static string Outermost(TypeDefinition type) => type.DeclaringType is null ? type.Name : Outermost(type.DeclaringType);
}
