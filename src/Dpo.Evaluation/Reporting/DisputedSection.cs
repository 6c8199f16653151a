using System.Globalization;
using Dpo.Evaluation.Measuring;

namespace Dpo.Evaluation.Reporting;

/// <summary>Training pairs that the reference ranks the other way round, for people to look at.</summary>
internal static class DisputedSection
{
    private const int MostPairs = 10;

    /// <summary>Adds those of each run that has a file of them.</summary>
    public static void Add(Page page, IReadOnlyList<ReportedRun> runs)
    {
        var disputed = runs.Select(run => (run.Name, Path: Path.Combine(run.Folder, RunReport.DisputedName)))
            .Where(run => File.Exists(run.Path)).ToArray();
        if (disputed.Length == 0)
            return;
        page.Heading("Labels that the reference disputes");
        page.Paragraph(
            "Training pairs whose rejected completion the reference finds likelier than the chosen one, the most disputed " +
            "first. The nats are the difference of the two mean log-probabilities of a token. A label may be right all " +
            "the same.");
        foreach (var (name, path) in disputed)
        {
            var pairs = DisputedFile.Read(path);
            if (runs.Count > 1)
                page.Heading(name, 3);
            page.Paragraph(pairs.Count switch
            {
                0 => "There is none.",
                > MostPairs => $"These are the first {MostPairs} of {pairs.Count} in {RunReport.DisputedName}.",
                _ => $"These are all in {RunReport.DisputedName}.",
            });
            page.Compared(
                pairs.Take(MostPairs).Select(pair => (Title(pair), pair.Prompt, pair.Chosen, (string?)pair.Rejected)),
                "chosen", "rejected");
        }
    }

    private static string Title(DisputedPair pair)
    {
        var nats = $"{pair.Nats.ToString("0.00", CultureInfo.InvariantCulture)} nats";
        return pair.Source is null ? nats : $"{nats}, {pair.Source}";
    }
}
