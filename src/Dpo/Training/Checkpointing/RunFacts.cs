using System.Reflection;
using System.Runtime.InteropServices;
using Dpo.Batching;
using Dpo.Files;
using Dpo.Models;
using Dpo.Optimizers;
using Dpo.Weights;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo.Training.Checkpointing;

/// <summary>All facts of a run: those that its trainer gives, and those of the model, the optimizer and the machine.</summary>
internal sealed class RunFacts
{
    /// <summary>The fact that names the order of the data, and its value where that is the file's.</summary>
    public const string ShuffleName = "Shuffle", Unshuffled = "False";

    /// <summary>The fact of how many steps the run has.</summary>
    public const string StepsName = "Steps";

    private readonly RunFact[] all;

    /// <summary>Collects them.</summary>
    public RunFacts(IEnumerable<RunFact> given, CausalLanguageModel model, optim.Optimizer optimizer) =>
        all = [.. given, .. Of(model, optimizer), .. Surroundings()];

    /// <summary>The facts as a checkpoint records them.</summary>
    public Dictionary<string, string> ByName() => all.ToDictionary(fact => fact.Name, fact => fact.Value);

    /// <summary>Logs what is another than when a checkpoint was written, and refuses what may not be.</summary>
    /// <param name="checkpoint">The checkpoint's path.</param>
    /// <param name="recorded">Its facts.</param>
    /// <param name="allowsChanges">Whether changed options are allowed.</param>
    /// <param name="logger">Is told of changes.</param>
    /// <exception cref="InvalidInputException">The checkpoint is another run's; the message lists what differs.</exception>
    public void Compare(string checkpoint, IReadOnlyDictionary<string, string> recorded, bool allowsChanges, ILogger logger)
    {
        RequireSameShuffle(checkpoint, recorded);
        var changed = all.Select(fact => OverStepsOf(fact, recorded))
            .Where(fact => recorded.GetValueOrDefault(fact.Name) != fact.Value)
            .ToLookup(fact => fact.OnChange, fact => fact.Difference(recorded.GetValueOrDefault(fact.Name)));
        string List(OnChange kind) => string.Join("; ", changed[kind]);
        if (changed[OnChange.Refuse].Any())
            throw new InvalidInputException(
                $"{checkpoint} belongs to another run: {List(OnChange.Refuse)}. " +
                "Resume it with the model, the data and the batches that it was begun with.");
        if (changed[OnChange.RefuseUnlessAllowed].Any() && !allowsChanges)
            throw new InvalidInputException(
                $"{checkpoint} was written under other options: {List(OnChange.RefuseUnlessAllowed)}. " +
                "Give the same ones, or allow the run to go on with changed options.");
        if (changed[OnChange.RefuseUnlessAllowed].Any())
            logger.LogWarning("The run goes on with changed options: {Changes}.", List(OnChange.RefuseUnlessAllowed));
        if (changed[OnChange.Log].Any())
            logger.LogInformation("The run goes on with another length or other evaluations: {Changes}.", List(OnChange.Log));
        if (changed[OnChange.Warn].Any())
            logger.LogWarning(
                "The run goes on elsewhere, so that results may differ in their last bits: {Changes}.", List(OnChange.Warn));
    }

    /// <summary>Whether held-out data are those of a checkpoint.</summary>
    public bool HaveHeldOutOf(IReadOnlyDictionary<string, string> recorded) =>
        all.All(fact => !fact.IsHeldOut || recorded.GetValueOrDefault(fact.Name) == fact.Value);

    /// <summary>A schedule, say, is compared over the steps that it was recorded for; that there are more or fewer is listed by
    /// itself.</summary>
    private static RunFact OverStepsOf(RunFact fact, IReadOnlyDictionary<string, string> recorded) =>
        fact.ValueOver is { } over && recorded.TryGetValue(StepsName, out var text) && int.TryParse(text, out var steps)
            ? fact with { Value = over(steps) }
            : fact;

    private void RequireSameShuffle(string checkpoint, IReadOnlyDictionary<string, string> recorded)
    {
        if (all.Any(fact => fact.Name == ShuffleName && fact.Value == ShuffledOrder.Name)
            && recorded.GetValueOrDefault(ShuffleName) is not (null or Unshuffled or ShuffledOrder.Name))
            throw new InvalidInputException(
                $"{checkpoint} was written by a version of Dpo that shuffled data into another order " +
                $"({recorded.GetValueOrDefault("Dpo")}); finish the run with that version, or begin it anew.");
    }

    /// <summary>What the model computes with besides the weights that are trained.</summary>
    private static IEnumerable<RunFact> Of(CausalLanguageModel model, optim.Optimizer optimizer)
    {
        yield return new("Optimizer", optimizer.GetType().Name, OnChange.Refuse);
        if (optimizer is RestorableOptimizer { Constants: var constants })
            yield return new("the optimizer's constants", constants, OnChange.RefuseUnlessAllowed);
        var frozen = model.named_parameters().Where(named => !named.parameter.requires_grad)
            .Select(named => (named.name, (Tensor)named.parameter));
        var buffers = model.named_buffers().Select(named => (named.name, named.buffer));
        yield return new("the frozen weights", TensorDigest.Of(frozen.Concat(buffers)), OnChange.Refuse);
        if (model.Description is not { } described)
            yield break;
        var configuration = Digest.Of(described.Configuration);
        yield return new("the model's configuration", configuration, OnChange.Refuse);
        yield return new("Precision", described.Precision, OnChange.RefuseUnlessAllowed);
        if (described.Adapter is { } adapter)
            yield return new("the adapter", adapter.All, OnChange.RefuseUnlessAllowed);
    }

    /// <summary>Where and with what the run computes.</summary>
    private static IEnumerable<RunFact> Surroundings()
    {
        static string VersionOf(Assembly assembly) =>
            assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? assembly.GetName().Version!.ToString();

        yield return new("Dpo", VersionOf(typeof(RunFacts).Assembly), OnChange.Warn);
        yield return new("TorchSharp", VersionOf(typeof(Tensor).Assembly), OnChange.Warn);
        yield return new(".NET", Environment.Version, OnChange.Warn);
        yield return new("the number of threads", get_num_threads(), OnChange.Warn);
        yield return new("the processor", Processor(), OnChange.Warn);
    }

    private static string Processor()
    {
        const string CpuInfo = "/proc/cpuinfo";
        var name = File.Exists(CpuInfo)
            ? File.ReadLines(CpuInfo).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))
                ?.Split(':', 2)[1].Trim()
            : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER");
        return $"{name ?? "unknown"}, {RuntimeInformation.ProcessArchitecture}";
    }
}
