using Dpo.Batching;
using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;

namespace Dpo.Training;

/// <summary>What a run evaluates on: sets of held-out data, each with the beginning of its metrics' names.</summary>
internal sealed class HeldOutSets
{
    private readonly (string Prefix, PreferenceData Data)[] sets;

    /// <summary>A single set, or none; metrics begin with <c>eval_</c>.</summary>
    public HeldOutSets(PreferenceData? data) => sets = data is null ? [] : [("eval_", data)];

    /// <summary>Sets by name, in the order of their names; metrics of one begin with <c>eval_</c>, its name and
    /// <c>_</c>.</summary>
    public HeldOutSets(IReadOnlyDictionary<string, PreferenceData> named) =>
        sets = [.. named.OrderBy(set => set.Key, StringComparer.Ordinal).Select(set => ($"eval_{set.Key}_", set.Value))];

    /// <summary>Whether there is anything to evaluate on.</summary>
    public bool Any => sets.Length > 0;

    /// <summary>Evaluates all sets.</summary>
    /// <param name="measurement">What is measured.</param>
    /// <param name="step">How many steps are made.</param>
    /// <param name="logger">Is told every set's loss.</param>
    /// <param name="cancellationToken">Ends it between two micro-batches.</param>
    public Dictionary<string, double> Evaluate(
        BatchMeasurement measurement, int step, ILogger logger, CancellationToken cancellationToken)
    {
        var values = new Dictionary<string, double>();
        foreach (var (prefix, data) in sets)
        {
            foreach (var (name, value) in measurement.Evaluate(data, cancellationToken))
                values[prefix + name] = value;
            logger.LogInformation("After step {Step} {Name} is {Loss:g6}.", step, prefix + "loss", values[prefix + "loss"]);
        }
        return values;
    }

    /// <summary>Refuses, before a run, data that cannot be evaluated on, and a metric to keep the best checkpoint by that no
    /// evaluation measures.</summary>
    public void Require(BatchMeasurement measurement)
    {
        foreach (var (_, data) in sets)
            measurement.Require(data, seed: null, data.Counts);
        if (measurement.Options.Checkpoints?.KeepBest is not { Name: var best })
            return;
        string[] names =
            [.. sets.SelectMany(set => measurement.Metrics(set.Data.Counts).Select(metric => set.Prefix + metric.Name))];
        if (!names.Contains(best))
            throw new InvalidInputException(names.Length > 0
                ? $"KeepBest: no evaluation measures {best}; there are {string.Join(", ", names)}."
                : $"KeepBest: {best} cannot be measured without held-out data; give the trainer some.");
    }

    /// <summary>The sets by their digests; other ones change what is reported.</summary>
    public IEnumerable<RunFact> Facts() => sets.Select(set =>
        TrainingFacts.Of($"the held-out data of {set.Prefix}*", set.Data, OnChange.Log) with { IsHeldOut = true });
}
