namespace Dpo.Evaluation.Reporting;

/// <summary>What each run was asked to do, on which data and models, by which versions and machine.</summary>
internal static class SettingsSection
{
    /// <summary>Adds them, and says which run has none.</summary>
    public static void Add(Page page, IReadOnlyList<ReportedRun> runs, List<string> leftOut)
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
}
