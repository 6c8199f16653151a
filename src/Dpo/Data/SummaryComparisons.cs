using System.Text.Json;

namespace Dpo.Data;

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
    /// <inheritdoc cref="PreferenceJsonLines"/>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null) =>
        JsonRows.Read(JsonRows.Of(path), ColumnNames.OfPreferences(columns), report, badRows, Parse);

    /// <summary>The fields that <see cref="Parse(DataRow, RowMark)"/> reads.</summary>
    internal static IReadOnlyList<string> Fields { get; } =
        ["info", "summaries", "choice", "input_text", "candidate_0", "candidate_1"];

    internal static PreferenceExample Parse(DataRow row, RowMark mark) => Parse(row) with { Mark = mark };

    private static PreferenceExample Parse(DataRow row)
    {
        if (row.Has("input_text"))
            return Choose(row.Text("input_text"), row.Text("candidate_0"), row.Text("candidate_1"), row);
        if (!row.TryGet("summaries", out var summaries))
            throw new BadRowException("no comparison: no field 'summaries'");
        if (summaries.ValueKind != JsonValueKind.Array || summaries.GetArrayLength() != 2)
            throw new BadRowException("'summaries' does not hold two summaries");
        var info = row.Get("info");
        var prompt = $"SUBREDDIT: r/{info.Text("subreddit")}\nTITLE: {info.Text("title")}\nPOST: {info.Text("post")}\nTL;DR:";
        return Choose(prompt, Completion(summaries[0]), Completion(summaries[1]), row);
    }

    private static string Completion(JsonElement summary) => " " + summary.Text("text").TrimStart();

    private static PreferenceExample Choose(string prompt, string first, string second, DataRow row)
    {
        return (row.TryGet("choice", out var choice) ? choice.Flag() : null) switch
        {
            false => JsonRows.Comparison(prompt, first, second, row.Source),
            true => JsonRows.Comparison(prompt, second, first, row.Source),
            null => throw new BadRowException("'choice' is neither 0 nor 1"),
        };
    }
}
