using System.Text;
using Dpo.Evaluation.Measuring;
using Dpo.Files;

namespace Dpo.Evaluation.Reporting;

/// <summary>
/// What is left to look at of one run, or of several together: <c>report.html</c>, a page that needs nothing beside it, and the
/// folder <c>report-figures</c> with each figure as SVG and PNG and its numbers as CSV.
/// </summary>
/// <remarks>
/// <para>Everything comes out of the files of the output folders, so that a report can be made anew at any time:
/// <c>run.json</c> (<see cref="RunRecord"/>), <c>frontier.jsonl</c> (<see cref="FrontierFile"/>), <c>win-rates.jsonl</c>
/// (<see cref="WinRateFile"/>), <c>disputed.jsonl</c>
/// (<see cref="DisputedFile"/>), <c>scored-pairs.jsonl</c> (<see cref="ScoredFile"/>), and of every stage, which has a folder of
/// its own, <c>metrics.jsonl</c> and <c>samples.jsonl</c>. What is not there is left out, and the page says so.</para>
/// <para>A figure draws 12 series at most and the page shows the texts of 8 stages; it says where there are more, and the CSV
/// files have all.</para>
/// </remarks>
public static class RunReport
{
    /// <summary>The name of the frontier's file in an output folder.</summary>
    public const string FrontierName = "frontier.jsonl";

    /// <summary>The name of the win rates' file in an output folder.</summary>
    public const string WinRatesName = "win-rates.jsonl";

    /// <summary>The name of the file of labels that the reference disputes (<see cref="DisputedFile"/>).</summary>
    public const string DisputedName = "disputed.jsonl";

    /// <summary>The name of the file of pairs that were scored (<see cref="ScoredFile"/>).</summary>
    public const string ScoredName = "scored-pairs.jsonl";

    /// <summary>The folder of figures in the folder of a page.</summary>
    internal const string FiguresName = "report-figures";

    /// <summary>Makes the report.</summary>
    /// <param name="folders">Output folders, one or more. Of each the folder itself and those up to two levels below are its
    /// stages, where they have metrics; one with a <c>run.json</c> of its own is another run, with all that lies in it.</param>
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
        ReportedRun[] runs = [.. folders.Zip(given, (folder, name) => new ReportedRun(folder, name, folders.Count > 1))];
        if (runs.Length == 0)
            throw new InvalidInputException("There is no folder to report; name the output folder of a run.");
        var page = new Page(string.Join(", ", runs.Select(run => run.Record?.Program ?? run.Name).Distinct()));
        var figures = new List<Figure>();
        try
        {
            Fill(page, figures, runs);
            var drawings = Path.Combine(target, FiguresName);
            Directory.CreateDirectory(drawings);
            foreach (var name in (string[])[ScoredSection.FigureName, FrontierSection.FigureName, .. CoursesSection.FigureNames])
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

    private static void Fill(Page page, List<Figure> figures, IReadOnlyList<ReportedRun> runs)
    {
        List<string> leftOut = [.. runs.SelectMany(run => run.Record?.LeftOut ?? [])];
        ScoredSection.Add(page, figures, runs);
        if (!runs.All(run => run.IsScoring))
        {
            FrontierSection.Add(page, figures, runs, leftOut);
            WinRateSection.Add(page, figures, [.. runs.SelectMany(run => run.WinRates)], leftOut);
            CoursesSection.Add(page, figures, runs, leftOut);
            TextsSection.Add(page, runs, leftOut);
        }
        DisputedSection.Add(page, runs);
        SettingsSection.Add(page, runs, leftOut);
        if (leftOut.Count > 0)
        {
            page.Heading("What was left out");
            page.List(leftOut);
        }
    }

    private static string LastName(string folder) =>
        Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
}
