using System.Runtime.InteropServices;
using Dpo.Batching;
using Dpo.Files;
using Dpo.Optimizers;
using Dpo.Training.Checkpointing;

namespace Dpo.Training;

/// <summary>What checkpoints record of a run: who trains what on which data, under which options.</summary>
internal static class TrainingFacts
{
    /// <summary>All that a trainer knows of a run.</summary>
    public static IEnumerable<RunFact> Of(
        Trainer trainer, BatchMeasurement measurement, PreferenceData data, HeldOutSets heldOut, int totalSteps) =>
    [
        .. Of(measurement.Options, totalSteps),
        new("the trainer", NameOf(trainer, measurement.Objective), OnChange.Refuse),
        Of("the training data", data, OnChange.Refuse),
        .. heldOut.Facts(),
        .. measurement.Objective.Facts(),
    ];

    /// <summary>What is trained or evaluated on, known by its digest.</summary>
    public static RunFact Of(string name, PreferenceData data, OnChange onChange) => new(name, data.Source.Digest.All, onChange);

    /// <summary>A trainer of a kind, or, where it is of none, what it minimizes.</summary>
    private static string NameOf(Trainer trainer, Objective objective) =>
        trainer.GetType() == typeof(Trainer) ? objective.GetType().Name : trainer.GetType().Name;

    /// <summary>A schedule, known by what it gives at every step.</summary>
    public static RunFact Of(LearningRateSchedule? schedule, int totalSteps)
    {
        string Over(int steps) => schedule is null ? "none" : DigestOf(schedule, steps);
        return new("Schedule", Over(totalSteps), OnChange.RefuseUnlessAllowed) { ValueOver = Over };
    }

    /// <summary>What the options say.</summary>
    private static IEnumerable<RunFact> Of(TrainingOptions options, int totalSteps)
    {
        yield return new("BatchSize", options.BatchSize, OnChange.Refuse);
        yield return new(RunFacts.ShuffleName, options.Shuffle ? ShuffledOrder.Name : RunFacts.Unshuffled, OnChange.Refuse);
        yield return new("Seed", options.Seed, OnChange.Refuse);
        yield return new("LearningRate", (object?)options.LearningRate ?? "the optimizer's own", OnChange.RefuseUnlessAllowed);
        yield return Of(options.Schedule, totalSteps);
        yield return new("WeightDecay", options.WeightDecay, OnChange.RefuseUnlessAllowed);
        yield return new("MaxGradNorm", options.MaxGradNorm, OnChange.RefuseUnlessAllowed);
        yield return new("MicroBatchSize", options.MicroBatchSize, OnChange.RefuseUnlessAllowed);
        yield return new("MicroBatchTokens", options.MicroBatchTokens, OnChange.RefuseUnlessAllowed);
        yield return new("MoveReferenceEvery", options.MoveReferenceEvery ?? 0, OnChange.RefuseUnlessAllowed);
        yield return new("MoveReferenceBy", options.MoveReferenceBy, OnChange.RefuseUnlessAllowed);
        yield return new(RunFacts.StepsName, totalSteps, OnChange.Log);
        yield return new("EvaluateEvery", options.EvaluateEvery ?? 0, OnChange.Log);
    }

    private static string DigestOf(LearningRateSchedule schedule, int steps)
    {
        var factors = new float[steps];
        for (var step = 0; step < steps; step++)
            factors[step] = (float)schedule(step, steps);
        return Digest.Of(MemoryMarshal.AsBytes<float>(factors));
    }
}
