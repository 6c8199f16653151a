using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Dpo.Batching;
using Dpo.Models;
using Dpo.Models.Lora;
using Dpo.Optimizers;
using Dpo.Training.Reference;
using static TorchSharp.torch;

namespace Dpo.Training.Checkpointing;

/// <summary>The facts that a checkpoint records, so that a run cannot go on as another one unseen.</summary>
internal static class RunFacts
{
    /// <summary>The fact that names the order of the data, and its value where that is the file's.</summary>
    public const string ShuffleName = "Shuffle", Unshuffled = "False";

    /// <summary>What the options say. The schedule is known by what it gives at every step.</summary>
    public static IEnumerable<RunFact> Of(TrainingOptions options, int totalSteps, int scheduledSteps)
    {
        yield return Fact("BatchSize", options.BatchSize, Change.Refused);
        yield return Fact(ShuffleName, options.Shuffle ? ShuffledOrder.Name : Unshuffled, Change.Refused);
        yield return Fact("Seed", options.Seed, Change.Refused);
        yield return Fact("LearningRate", (object?)options.LearningRate ?? "the optimizer's own", Change.Allowed);
        yield return Fact("Schedule", options.Schedule is { } schedule ? HashOf(schedule, scheduledSteps) : "none", Change.Allowed);
        yield return Fact("WeightDecay", options.WeightDecay, Change.Allowed);
        yield return Fact("MaxGradNorm", options.MaxGradNorm, Change.Allowed);
        yield return Fact("MicroBatchSize", options.MicroBatchSize, Change.Allowed);
        yield return Fact("MicroBatchTokens", options.MicroBatchTokens, Change.Allowed);
        yield return Fact("MoveReferenceEvery", options.MoveReferenceEvery ?? 0, Change.Allowed);
        yield return Fact("MoveReferenceBy", options.MoveReferenceBy, Change.Allowed);
        yield return Fact("Steps", totalSteps, Change.Told);
        yield return Fact("EvaluateEvery", options.EvaluateEvery ?? 0, Change.Told);
    }

    private static string HashOf(LearningRateSchedule schedule, int steps)
    {
        var factors = new float[steps];
        for (var step = 0; step < steps; step++)
            factors[step] = (float)schedule(step, steps);
        return Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(factors)));
    }

    /// <summary>What a run is, besides its options: who trains what on which data.</summary>
    public static IEnumerable<RunFact> Of(Trainer trainer, Objective objective, optim.Optimizer optimizer, PreferenceData data, HeldOutSets heldOut) =>
    [
        Fact("the trainer", trainer.GetType().Name, Change.Refused),
        Of("the training data", data, Change.Refused),
        .. heldOut.Facts(),
        .. Of(objective.Model, optimizer),
        .. objective.Facts(),
    ];

    /// <summary>What the model computes with besides the weights that are trained.</summary>
    private static IEnumerable<RunFact> Of(CausalLanguageModel model, optim.Optimizer optimizer)
    {
        yield return Fact("Optimizer", optimizer.GetType().Name, Change.Refused);
        if (optimizer is RestorableOptimizer { Constants: var constants })
            yield return Fact("the optimizer's constants", constants, Change.Allowed);
        var frozen = model.named_parameters().Where(named => !named.parameter.requires_grad).Select(named => (named.name, (Tensor)named.parameter));
        var buffers = model.named_buffers().Select(named => (named.name, named.buffer));
        yield return Fact("the frozen weights", ReferenceLogProbsKey.HashOf(frozen.Concat(buffers)), Change.Refused);
        if (model is not TransformerModel transformer)
            yield break;
        yield return Fact("the model's configuration", ReferenceLogProbsKey.HashOf(transformer.Config.Description()), Change.Refused);
        yield return Fact("Precision", transformer.Precision, Change.Allowed);
        if (transformer.Lora is { } lora)
            yield return Fact("the adapter", string.Create(
                CultureInfo.InvariantCulture, $"rank {lora.Rank}, scale {lora.ScaleDescription}, dropout {lora.Dropout:r}, seed {lora.Seed}"), Change.Allowed);
    }

    /// <summary>What is trained or evaluated on, known by its digest.</summary>
    public static RunFact Of(string name, PreferenceData data, Change onChange) => Fact(name, data.Source.Digest.All, onChange);

    /// <summary>Where and with what the run computes.</summary>
    public static IEnumerable<RunFact> Surroundings()
    {
        static string VersionOf(Assembly assembly) =>
            assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? assembly.GetName().Version!.ToString();

        yield return Fact("Dpo", VersionOf(typeof(RunFacts).Assembly), Change.Warned);
        yield return Fact("TorchSharp", VersionOf(typeof(Tensor).Assembly), Change.Warned);
        yield return Fact(".NET", Environment.Version, Change.Warned);
        yield return Fact("the number of threads", get_num_threads(), Change.Warned);
        yield return Fact("the processor", Processor(), Change.Warned);
    }

    private static string Processor()
    {
        const string CpuInfo = "/proc/cpuinfo";
        var name = File.Exists(CpuInfo)
            ? File.ReadLines(CpuInfo).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim()
            : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER");
        return $"{name ?? "unknown"}, {RuntimeInformation.ProcessArchitecture}";
    }

    private static RunFact Fact(string name, object value, Change onChange) =>
        new(name, Convert.ToString(value, CultureInfo.InvariantCulture)!, onChange);
}
