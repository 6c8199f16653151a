using System.Text.Json;

namespace Dpo.Samples;

/// <summary>News articles with summaries, for models of posts: SummEval's rows, of which the first reference is the chosen
/// summary and the system's that people rated lowest the rejected one; or rows of <c>prompt</c>, <c>chosen</c> and maybe
/// <c>rejected</c>.</summary>
internal static class NewsFile
{
    private const string Ending = "\nTL;DR:";

    /// <summary>Reads the first articles, each cut at its end to what leaves a summary its room.</summary>
    /// <exception cref="InvalidInputException">The file cannot be read.</exception>
    public static IReadOnlyList<HeldOutPrompt> Read(string path, TextTokenizer tokenizer, TrainingSettings settings)
    {
        var report = new DataReport();
        PreferenceExample[] rows = [.. PreferenceJsonLines.Read(path, report, Row).Take(settings.WinRates.Prompts)];
        Terminal.Line($"The news articles: {report}.");
        return [.. rows.Select(row => Cut(row, tokenizer, settings.MaxLength - settings.NewTokens))];
    }

    private static PreferenceExample Row(JsonElement row)
    {
        string TextOf(JsonElement value) => value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new BadRowException("no text where one is due");
        if (row.TryGetProperty("article", out var article))
            return row.TryGetProperty("references", out var references) && references.GetArrayLength() > 0
                && row.TryGetProperty("systems", out var systems) && systems.GetArrayLength() > 0
                ? new PreferenceExample(
                    TextOf(article) + Ending, " " + TextOf(references[0]),
                    " " + TextOf(systems.EnumerateArray().MinBy(Rating).GetProperty("summary")))
                : throw new BadRowException("no references or systems");
        return row.TryGetProperty("prompt", out var prompt) && row.TryGetProperty("chosen", out var good)
            ? new PreferenceExample(
                TextOf(prompt), [TextOf(good), .. row.TryGetProperty("rejected", out var bad) ? new[] { TextOf(bad) } : []], [])
            : throw new BadRowException("neither an article nor prompt and chosen");
    }

    private static double Rating(JsonElement system) =>
        system.GetProperty("scores").EnumerateObject().Average(score => score.Value.GetDouble());

    /// <summary>What asks for the summary stays.</summary>
    private static HeldOutPrompt Cut(PreferenceExample row, TextTokenizer tokenizer, int room)
    {
        var ending = row.Prompt.EndsWith(Ending, StringComparison.Ordinal) ? Ending : "";
        var words = row.Prompt[..^ending.Length].Split(' ');
        var text = row.Prompt;
        var ids = tokenizer.EncodePrompt(text);
        // Words are cut in the proportion of the tokens that are too many, one at least, until the rest fits.
        while (ids.Count > room && words.Length > 1)
        {
            words = words[..^Math.Clamp((int)((long)words.Length * (ids.Count - room) / ids.Count), 1, words.Length - 1)];
            text = string.Join(' ', words) + ending;
            ids = tokenizer.EncodePrompt(text);
        }
        return new HeldOutPrompt(ids, text, row.Completions[0], row.Completions.ElementAtOrDefault(1));
    }
}
