using System.Text.Json;
using Dpo.Files;
using Dpo.Training.Metrics;

namespace Dpo.Evaluation.Reporting;

/// <summary>What policy and reference say to the same prompts, of each stage that noted it.</summary>
internal static class TextsSection
{
    private const string FileName = "samples.jsonl";
    private const int MostSamples = 6, MostStages = 8;

    /// <summary>Adds the first stages' texts, or says that there are none.</summary>
    public static void Add(Page page, IReadOnlyList<ReportedRun> runs, List<string> leftOut)
    {
        var stages = runs.SelectMany(run => run.Stages).Select(stage => (stage.Name, Samples: Samples(stage.Folder)))
            .Where(stage => stage.Samples.Count > 0).ToArray();
        if (stages.Length == 0)
        {
            leftOut.Add($"Texts of policy and reference side by side: no stage has a {FileName}.");
            return;
        }
        page.Heading("Texts");
        if (stages.Length > MostStages)
            page.Paragraph(
                $"Those of the first {MostStages} of {stages.Length} stages; the others have theirs in their own {FileName}.");
        foreach (var (name, samples) in stages.Take(MostStages))
        {
            page.Heading(name, 3);
            page.Compared(
                samples.Take(MostSamples).Select(sample => ("prompt", sample.Prompt, sample.Policy, sample.Reference)),
                "policy", "reference");
        }
    }

    /// <summary>The texts of the last step that has some.</summary>
    private static IReadOnlyList<(string Prompt, string Policy, string? Reference)> Samples(string folder)
    {
        var path = Path.Combine(folder, FileName);
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
}
