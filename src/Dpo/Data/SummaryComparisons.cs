using System.Text.Json;

namespace Dpo;

/// <summary>
/// Reads comparisons of summaries of Reddit posts (TL;DR), in the format of openai/summarize-from-feedback or its flat form.
/// </summary>
/// <remarks>
/// <para>The original has <c>info.subreddit</c>, <c>info.title</c>, <c>info.post</c>, two <c>summaries[].text</c> and
/// <c>choice</c>, the index of the better one. The prompt becomes</para>
/// <code>
/// SUBREDDIT: r/{subreddit}
/// TITLE: {title}
/// POST: {post}
/// TL;DR:
/// </code>
/// <para>without a space or newline at its end; a completion is one space and the summary.</para>
/// <para>The flat form has <c>input_text</c>, <c>candidate_0</c>, <c>candidate_1</c> and <c>choice</c>; its texts are taken as
/// they stand. Other rows of the original's files, such as ratings along axes and summaries of news
/// articles, are bad rows.</para>
/// </remarks>
public static class SummaryComparisons
{
    /// <summary>Reads the examples one by one; no more than a line is held in memory.</summary>
    /// <inheritdoc cref="PreferenceJsonLines.Read"/>
    public static IEnumerable<PreferenceExample> Read(string path, DataReport report, BadRows badRows = BadRows.Skip) =>
        JsonRows.Read(JsonRows.Lines(path), report, badRows, Parse);

    internal static PreferenceExample Parse(JsonElement row, JsonRow origin)
    {
        if (row.TryGetProperty("input_text", out _))
            return Choose(row.Text("input_text"), row.Text("candidate_0"), row.Text("candidate_1"), row, origin.Source);
        if (!row.TryGetProperty("summaries", out var summaries))
            throw new BadRowException("no comparison: no field 'summaries'");
        if (summaries.ValueKind != JsonValueKind.Array || summaries.GetArrayLength() != 2)
            throw new BadRowException("'summaries' does not hold two summaries");
        if (!row.TryGetProperty("info", out var info))
            throw new BadRowException("no field 'info'");
        var prompt = $"SUBREDDIT: r/{info.Text("subreddit")}\nTITLE: {info.Text("title")}\nPOST: {info.Text("post")}\nTL;DR:";
        return Choose(prompt, Completion(summaries[0]), Completion(summaries[1]), row, origin.Source);
    }

    private static string Completion(JsonElement summary) => " " + summary.Text("text").TrimStart();

    private static PreferenceExample Choose(string prompt, string first, string second, JsonElement row, string source)
    {
        if (!row.TryGetProperty("choice", out var choice) || choice.ValueKind != JsonValueKind.Number
            || !choice.TryGetInt32(out var index) || index is not (0 or 1))
        {
            throw new BadRowException("'choice' is neither 0 nor 1");
        }
        return index == 0
            ? JsonRows.Comparison(prompt, first, second, source)
            : JsonRows.Comparison(prompt, second, first, source);
    }
}
