using Dpo.Evaluation.Measuring;

namespace Dpo.Samples;

/// <summary>Measures a policy's reward and KL while it is trained, and keeps the points, and texts of policy and reference, in
/// its folder.</summary>
internal sealed class Measurements(
    PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prefixes, Scorer scorer, TextTokenizer tokenizer,
    ImdbSettings settings, CancellationToken cancellationToken) : IProgress<TrainingMetrics>
{
    private const int ShownTexts = 8;

    private List<FrontierPoint>? points;

    public required string Folder { get; init; }

    public required string Run { get; init; }

    public required string Method { get; init; }

    /// <summary>Measures the policy where that is due: evenly over the steps, and after the last.</summary>
    public void Report(TrainingMetrics value)
    {
        long due = (long)value.Step * settings.Points / value.TotalSteps;
        if (due > (long)(value.Step - 1) * settings.Points / value.TotalSteps)
            Measure(value.Step);
    }

    /// <summary>Measures it now.</summary>
    public void Measure(int step)
    {
        var measured = RewardAndKl.Measure(
            pair, prefixes, scorer, Sampling.Of(settings), tokenizer, cancellationToken: cancellationToken);
        // A run that goes on from a checkpoint has those up to there.
        var path = Path.Combine(Folder, Parts.PointsName);
        points ??= File.Exists(path) ? [.. FrontierFile.Read(path).Where(point => point.Step < step)] : [];
        points.Add(FrontierPoint.Of(Run, Method, settings.Seed, step, measured));
        FrontierFile.Write(path, points);
        JsonFile.WriteLines(Path.Combine(Folder, "samples.jsonl"), Texts(step, measured));
    }

    private IEnumerable<object> Texts(int step, RewardAndKl measured)
    {
        IReadOnlyList<int>[] shown = [.. prefixes.Take(ShownTexts)];
        var ofReference = pair.WithReference(model => Sampler.Sample(
            model, shown, Sampling.Of(settings), tokenizer, cancellationToken: cancellationToken));
        return shown.Select((prefix, index) => new
        {
            step,
            prompt = scorer.Text(prefix, []),
            policy = scorer.Text([], measured.Samples[index].Completion.Tokens),
            reference = scorer.Text([], ofReference[index].Tokens),
        });
    }
}
