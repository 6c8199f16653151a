using Dpo.Training;

namespace Dpo.Baselines;

/// <summary>The means of what the updates of a round report.</summary>
internal sealed class MeanMetrics : IProgress<TrainingMetrics>
{
    private readonly List<IReadOnlyDictionary<string, double>> all = [];

    /// <inheritdoc/>
    public void Report(TrainingMetrics value) => all.Add(value.Values);

    /// <summary>The means, by name, but of what counts within a run.</summary>
    public IEnumerable<(string Name, double Value)> Of() => all[0].Keys
        .Where(name => name is not ("epoch" or "num_tokens"))
        .Select(name => (name, all.Average(values => values[name])));
}
