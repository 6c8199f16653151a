using Dpo.Evaluation.Measuring;

namespace Dpo.Evaluation.Reporting;

/// <summary>A folder with metrics: a stage of a run, such as fine-tuning.</summary>
/// <param name="Name">What it is called in a report.</param>
/// <param name="Folder">Where it is.</param>
/// <param name="History">Its metrics.</param>
internal sealed record Stage(string Name, string Folder, MetricsHistory History);

/// <summary>An output folder as a report sees it.</summary>
internal sealed class ReportedRun
{
    private const int DeepestStage = 2; // seed-0/dpo-beta-0.1

    /// <summary>Reads its record, its frontier's points and its stages' metrics.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="name">What it is called beside others.</param>
    /// <param name="isOneOfSeveral">Whether others are reported with it, so that all that is its own needs its name.</param>
    /// <exception cref="InvalidInputException">It is not there, holds nothing to report, or a file is damaged.</exception>
    public ReportedRun(string folder, string name, bool isOneOfSeveral)
    {
        if (!Directory.Exists(folder))
            throw new InvalidInputException($"{folder} is no folder; name the output folder of a run.");
        (Folder, Name) = (folder, name);
        Record = RunRecord.Read(folder);
        var frontier = Path.Combine(folder, RunReport.FrontierName);
        Points = !File.Exists(frontier) ? []
            : [.. FrontierFile.Read(frontier).Select(point =>
                isOneOfSeveral ? point with { Run = $"{Name}/{point.Run}" } : point)];
        var winRates = Path.Combine(folder, RunReport.WinRatesName);
        WinRates = !File.Exists(winRates) ? []
            : [.. WinRateFile.Read(winRates).Select(point =>
                isOneOfSeveral ? point with { Run = $"{Name}/{point.Run}" } : point)];
        var scored = Path.Combine(folder, RunReport.ScoredName);
        Scored = File.Exists(scored) ? ScoredFile.Read(scored) : [];
        Stages =
        [
            .. Below(folder, DeepestStage).Order(StringComparer.Ordinal).Prepend("")
                .Select(path => (Path: path, Folder: Path.Combine(folder, path)))
                .Where(stage => File.Exists(Path.Combine(stage.Folder, MetricsHistory.FileName)))
                .Select(stage =>
                    new Stage(NameOf(stage.Path, isOneOfSeveral), stage.Folder, new MetricsHistory(stage.Folder))),
        ];
        if (Record is null && Points.Count == 0 && WinRates.Count == 0 && Stages.Count == 0 && Scored.Count == 0)
            throw new InvalidInputException(
                $"{folder} holds nothing to report: no run.json, {RunReport.FrontierName}, {RunReport.WinRatesName}, " +
                $"{RunReport.ScoredName} or {MetricsHistory.FileName}.");
    }

    /// <summary>Where it is.</summary>
    public string Folder { get; }

    /// <summary>What it is called beside others.</summary>
    public string Name { get; }

    /// <summary>What made it; null where it has no <c>run.json</c>.</summary>
    public RunRecord? Record { get; }

    /// <summary>The points of its frontier, none where it has no file of them.</summary>
    public IReadOnlyList<FrontierPoint> Points { get; }

    /// <summary>Its win rates, none where it has no file of them.</summary>
    public IReadOnlyList<WinRatePoint> WinRates { get; }

    /// <summary>The pairs that were scored, none where it has no file of them.</summary>
    public IReadOnlyList<ScoredPair> Scored { get; }

    /// <summary>Whether pairs were scored, and nothing else was done.</summary>
    public bool IsScoring => Scored.Count > 0 && Stages.Count == 0 && Points.Count == 0 && WinRates.Count == 0;

    /// <summary>The folder itself where it has metrics, and the folders below that have some, by their paths.</summary>
    public IReadOnlyList<Stage> Stages { get; }

    /// <summary>The paths of the folders below one, with a slash on every system; not of those that are runs of their own, nor of
    /// what lies in them.</summary>
    private static IEnumerable<string> Below(string folder, int levels) => levels == 0 ? []
        : new DirectoryInfo(folder).EnumerateDirectories()
            .Where(inner => !File.Exists(Path.Combine(inner.FullName, RunRecord.FileName)))
            .SelectMany(inner => Below(inner.FullName, levels - 1).Select(path => $"{inner.Name}/{path}").Prepend(inner.Name));

    private string NameOf(string stage, bool isOneOfSeveral) => (stage, isOneOfSeveral) switch
    {
        ("", true) => Name,
        ("", false) => "the run",
        (_, true) => $"{Name}/{stage}",
        _ => stage,
    };
}
