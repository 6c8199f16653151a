using System.Globalization;
using System.Text;
using System.Text.Json;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;
using Dpo.Files;
using Dpo.Training.Metrics;

namespace Dpo.Evaluation.Reporting;

/// <summary>
/// What is left to look at of one run, or of several together: <c>report.html</c>, a page that needs nothing beside it, and the
/// folder
/// <c>report-figures</c> with each figure as SVG and PNG and its numbers as CSV.
/// </summary>
/// <remarks>Everything comes out of the files of the output folders, so that a report can be made anew at any time:
/// <c>run.json</c> (<see cref="RunRecord"/>), <c>frontier.jsonl</c> (<see cref="FrontierFile"/>), <c>win-rates.jsonl</c>
/// (<see cref="WinRateFile"/>), and of every stage, which has a
/// folder of its own,
/// <c>metrics.jsonl</c> and <c>samples.jsonl</c>. What is not there is left out, and the page says so.</remarks>
public static class RunReport
{
    /// <summary>The name of the frontier's file in an output folder.</summary>
    public const string FrontierName = "frontier.jsonl";

    /// <summary>The name of the win rates' file in an output folder.</summary>
    public const string WinRatesName = "win-rates.jsonl";

    private const string FiguresName = "report-figures";
    private const string FrontierFigure = "frontier";
    private const string SamplesName = "samples.jsonl";
    private const int MostSamples = 6;

    /// <summary>Which metrics are drawn, those of a figure together.</summary>
    private static readonly (string Name, string Caption, string Axis, string[] Metrics)[] panels =
    [
        ("loss", "The loss of each step. Of very many steps neighbours are averaged, here and below.", "loss",
            ["loss", "eval_loss"]),
        ("margins", "Margins of the implicit rewards: chosen less rejected.", "margin",
            ["rewards/margins", "eval_rewards/margins"]),
        ("accuracies", "Accuracy: how often the chosen completion has the higher implicit reward.", "accuracy",
            ["rewards/accuracies", "eval_rewards/accuracies"]),
        ("implicit-rewards", "Implicit rewards β·log(π/π_ref) of chosen and rejected completions.", "reward",
            ["rewards/chosen", "rewards/rejected"]),
        ("log-probabilities",
            "Log-probabilities of chosen and rejected completions under the policy. Both may fall while the margin grows.",
            "nats", ["logps/chosen", "logps/rejected"]),
        ("kl", "KL of the policy's own completions from the reference.", "nats", ["objective/kl"]),
        ("scores", "The reward of the policy's own completions.", "reward", ["objective/scores"]),
        ("gradient-norm", "The gradient's norm before it is clipped.", "norm", ["grad_norm"]),
    ];

    /// <summary>Makes the report.</summary>
    /// <param name="folders">Output folders, one or more; of each the folder itself and those in it, which are its
    /// stages unless they have a <c>run.json</c> of their own.</param>
    /// <param name="target">The folder that the page and its figures go to, which is made where it is missing.</param>
    /// <returns>The page's path.</returns>
    /// <exception cref="InvalidInputException">A folder is not there or holds nothing to report, or a file is
    /// damaged.</exception>
    public static string Write(IReadOnlyList<string> folders, string target)
    {
        ArgumentNullException.ThrowIfNull(folders);
        ArgumentNullException.ThrowIfNull(target);
        var names = folders.Select(LastName).ToArray();
        // Runs of one name are told apart by how they were named here.
        var given = names.Distinct(StringComparer.Ordinal).Count() == names.Length ? names : folders;
        Run[] runs = [.. folders.Zip(given, (folder, name) => new Run(folder, name, folders.Count > 1))];
        if (runs.Length == 0)
            throw new InvalidInputException("There is no folder to report; name the output folder of a run.");
        var page = new Page(string.Join(", ", runs.Select(run => run.Title).Distinct()));
        var figures = new List<Figure>();
        try
        {
            Fill(page, figures, runs);
            var drawings = Path.Combine(target, FiguresName);
            Directory.CreateDirectory(drawings);
            foreach (var name in (string[])[FrontierFigure, .. panels.Select(panel => panel.Name)])
                Figure.Delete(drawings, name); // one that an earlier report had
            foreach (var file in Directory.GetFiles(drawings, $"{WinRateSection.FigureNames}-*"))
                File.Delete(file);
            figures.ForEach(figure => figure.Write(drawings));
        }
        finally
        {
            figures.ForEach(figure => figure.Dispose());
        }
        var path = Path.Combine(target, "report.html");
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(page.ToString())));
        return path;
    }

    private static void Fill(Page page, List<Figure> figures, IReadOnlyList<Run> runs)
    {
        List<string> leftOut = [.. runs.SelectMany(run => run.Record?.LeftOut ?? [])];
        AddFrontier(page, figures, [.. runs.SelectMany(run => run.Points)], leftOut);
        WinRateSection.Add(page, figures, [.. runs.SelectMany(run => run.WinRates)], leftOut);
        AddCourses(page, figures, [.. runs.SelectMany(run => run.Stages)], leftOut);
        AddSamples(page, [.. runs.SelectMany(run => run.Stages)], leftOut);
        AddRecords(page, runs, leftOut);
        if (leftOut.Count > 0)
        {
            page.Heading("What was left out");
            page.List(leftOut);
        }
    }

    private static void AddFrontier(
        Page page, List<Figure> figures, IReadOnlyList<FrontierPoint> points, List<string> leftOut)
    {
        if (points.Count == 0)
        {
            leftOut.Add($"Reward over KL: there is no {FrontierName}.");
            return;
        }
        page.Heading("Reward and KL");
        var frontier = new Frontier(points);
        var figure = new Figure(
            FrontierFigure,
            "Expected reward against KL(π‖π_ref) of whole completions: a point a measurement with its standard errors, and " +
            "each method's front.",
            "KL(π‖π_ref), nats", "reward");
        foreach (var method in frontier.Methods)
        {
            figure.Points(
                method,
                [.. points.Where(point => point.Method == method).Select(point =>
                    (point.Kl.Value, point.Reward.Value, Finite(point.Kl.StandardError), Finite(point.Reward.StandardError)))],
                [.. frontier.Front(method).Select(point => (point.Kl.Value, point.Reward.Value))]);
        }
        figures.Add(figure);
        page.Figure(figure);
        page.Paragraph("What every run had reached at its last measurement; ± is a standard error.");
        page.Table(
            ["run", "seed", "step", "reward", "KL, nats"],
            [
                .. points.GroupBy(point => (point.Run, point.Seed)).Select(run => run.MaxBy(point => point.Step)!)
                    .Select(last => (string[])
                    [
                        last.Run, Text(last.Seed), Text(last.Step), Text(last.Reward, "0.000"), Text(last.Kl, "0.00"),
                    ]),
            ]);

        static double Finite(double error) => double.IsFinite(error) ? error : 0;
    }

    private static void AddCourses(Page page, List<Figure> figures, IReadOnlyList<Stage> stages, List<string> leftOut)
    {
        var begun = false;
        foreach (var panel in panels)
        {
            var figure = new Figure(panel.Name, panel.Caption, "step", panel.Axis);
            foreach (var stage in stages)
            {
                foreach (var metric in panel.Metrics)
                {
                    if (stage.History.Course(metric) is { Count: > 0 } course)
                        figure.Line(panel.Metrics.Length > 1 ? $"{stage.Name}: {metric}" : stage.Name, course);
                }
            }
            if (figure.IsEmpty)
            {
                figure.Dispose();
                continue;
            }
            if (!begun)
                page.Heading("Courses of training");
            begun = true;
            figures.Add(figure);
            page.Figure(figure);
        }
        if (!begun)
            leftOut.Add($"Courses of training: there is no {MetricsHistory.FileName} with finite numbers of what is drawn.");
    }

    private static void AddSamples(Page page, IReadOnlyList<Stage> stages, List<string> leftOut)
    {
        var withSamples = stages.Select(stage => (stage.Name, Samples: Samples(stage.Folder)))
            .Where(stage => stage.Samples.Count > 0).ToArray();
        if (withSamples.Length == 0)
        {
            leftOut.Add($"Texts of policy and reference side by side: no stage has a {SamplesName}.");
            return;
        }
        page.Heading("Texts");
        foreach (var (name, samples) in withSamples)
        {
            page.Heading(name, 3);
            page.Samples(samples.Take(MostSamples));
        }
    }

    private static void AddRecords(Page page, IReadOnlyList<Run> runs, List<string> leftOut)
    {
        foreach (var run in runs)
        {
            page.Heading(runs.Count > 1 ? $"Settings of {run.Name}" : "Settings");
            if (run.Record is not { } record)
            {
                leftOut.Add($"Settings of {run.Name}: it has no run.json.");
                page.Paragraph("The folder has no run.json.");
                continue;
            }
            page.Facts(record.Options);
            foreach (var (title, facts) in ((string, IReadOnlyDictionary<string, string>)[])
            [
                ("Data", record.Data), ("What the data are like", record.Audit), ("Models", record.Models),
                ("Versions", record.Versions), ("Machine", record.Machine),
            ])
            {
                if (facts.Count == 0)
                    continue;
                page.Heading(title, 3);
                page.Facts(facts);
            }
        }
    }

    /// <summary>The texts of the last step that has some.</summary>
    private static IReadOnlyList<(string Prompt, string Policy, string? Reference)> Samples(string folder)
    {
        var path = Path.Combine(folder, SamplesName);
        if (!File.Exists(path))
            return [];
        var (last, samples) = (-1, new List<(string, string, string?)>());
        using var stream = new BufferedStream(RegularFile.OpenRead(path));
        foreach (var (index, line) in StepLines.Whole(stream).Index())
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                var step = json.RootElement.GetProperty("step").GetInt32();
                string? Words(string name) => json.RootElement.TryGetProperty(name, out var text) ? text.GetString() : null;
                if (step != last)
                    samples.Clear();
                last = step;
                samples.Add((Words("prompt") ?? "", Words("policy") ?? "", Words("reference")));
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new InvalidInputException($"{path}:{index + 1} is no sample: {e.Message} Take the line out.", e);
            }
        }
        return samples;
    }

    private static string LastName(string folder) =>
        Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Text(Estimate estimate, string format)
    {
        var value = estimate.Value.ToString(format, CultureInfo.InvariantCulture);
        return double.IsFinite(estimate.StandardError)
            ? $"{value} ± {estimate.StandardError.ToString(format, CultureInfo.InvariantCulture)}"
            : value;
    }

    /// <summary>A folder with metrics: a stage of a run, such as fine-tuning.</summary>
    private sealed record Stage(string Name, string Folder, MetricsHistory History);

    /// <summary>An output folder.</summary>
    private sealed class Run
    {
        public Run(string folder, string name, bool isOneOfSeveral)
        {
            if (!Directory.Exists(folder))
                throw new InvalidInputException($"{folder} is no folder; name the output folder of a run.");
            Name = name;
            Record = RunRecord.Read(folder);
            var frontier = Path.Combine(folder, FrontierName);
            Points = !File.Exists(frontier) ? []
                : [.. FrontierFile.Read(frontier).Select(point =>
                    isOneOfSeveral ? point with { Run = $"{Name}/{point.Run}" } : point)];
            var winRates = Path.Combine(folder, WinRatesName);
            WinRates = !File.Exists(winRates) ? []
                : [.. WinRateFile.Read(winRates).Select(point =>
                    isOneOfSeveral ? point with { Run = $"{Name}/{point.Run}" } : point)];
            Stages =
            [
                .. Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal)
                    .Where(stage => !File.Exists(Path.Combine(stage, RunRecord.FileName))) // a run of its own
                    .Prepend(folder).Where(stage => File.Exists(Path.Combine(stage, MetricsHistory.FileName)))
                    .Select(stage => new Stage(NameOf(folder, stage, isOneOfSeveral), stage, new MetricsHistory(stage))),
            ];
            if (Record is null && Points.Count == 0 && WinRates.Count == 0 && Stages.Count == 0)
                throw new InvalidInputException(
                    $"{folder} holds nothing to report: no run.json, {FrontierName}, {WinRatesName} or " +
                    $"{MetricsHistory.FileName}.");
        }

        public string Name { get; }

        public RunRecord? Record { get; }

        public string Title => Record?.Program ?? Name;

        public IReadOnlyList<FrontierPoint> Points { get; }

        public IReadOnlyList<WinRatePoint> WinRates { get; }

        public IReadOnlyList<Stage> Stages { get; }

        private string NameOf(string folder, string stage, bool isOneOfSeveral)
        {
            var own = Path.GetRelativePath(folder, stage).Replace('\\', '/');
            return (own, isOneOfSeveral) switch
            {
                (".", true) => Name,
                (".", false) => "the run",
                (_, true) => $"{Name}/{own}",
                _ => own,
            };
        }
    }
}
