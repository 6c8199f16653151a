using System.Text.Json;

namespace Dpo.Data;

/// <summary>
/// Reads JSON Lines of <c>{"prompt": …, "chosen": …, "rejected": …}</c>, the plainest format of preference data, as TRL takes it:
/// texts, or lists of a chat's messages, <c>[{"role": …, "content": …}]</c>; and its kin: scored pairs, rankings, and completions
/// labelled apart.
/// </summary>
/// <remarks>
/// <para>Beside <c>prompt</c> a row has</para>
/// <list type="bullet">
/// <item><c>chosen</c> and <c>rejected</c>; with <c>score_chosen</c> and <c>score_rejected</c>, numbers, the pair is
/// scored, and with <c>margin</c>, how far a reward model is to tell the two apart, as by scores of margin and 0;</item>
/// <item><c>completions</c>, two or more texts, and <c>ranking</c>, their indices from 0, the best first; or <c>scores</c>, a
/// number for each. Every completion makes a pair with each that is ranked or scored lower; scores without ties make a
/// ranking. There may be 1,024 completions;</item>
/// <item><c>completion</c> and <c>label</c>, true (or 1) where it is desirable (TRL's unpaired format).</item>
/// </list>
/// <para>Texts are taken as they stand, so a space between prompt and completion belongs to the completions. What is null is
/// missing. Other fields are ignored. Bad rows: malformed JSON or UTF-8, a field missing or of the wrong kind, a completion of
/// nothing but white space, completions that are identical, and completions that all have one score.</para>
/// <para>Well-known sets have the prompt under other names, which are known too: <c>question</c>, <c>instruction</c> with
/// <c>input</c>, <c>query</c>, <c>input</c>; a text <c>system</c> stands in front of it on a line of its own, and before a chat
/// as its first message. Likewise <c>chosen_response</c> and <c>rejected_response</c>. For any other name see the parameter
/// <c>columns</c>.</para>
/// <para>A pair without a prompt has an implicit one, found as TRL's <c>extract_prompt</c> finds it: the beginning that chosen
/// and rejected have in common, less a space at its end; of a chat, the messages they have in common. Where such a row has
/// another column that may be its prompt, by its name or as a text of several words, it is a bad row.</para>
/// <para>Where the prompt is a list of messages, so is every completion; they become
/// <see cref="PreferenceExample.Conversation"/>. The prompt must not end with the assistant, and completions must begin with it.
/// <c>chosen</c> and <c>rejected</c> may be whole conversations beside a prompt that is a text, as in UltraFeedback's binarized
/// form: the prompt is then the messages they have in common, of which the text must be the user's.</para>
/// </remarks>
public static class PreferenceJsonLines
{
    /// <summary>Reads the examples one by one; no more than a row is held in memory.</summary>
    /// <param name="path">The file, UTF-8: an object a line, or one JSON array of objects, however it is laid out; one named
    /// <c>.gz</c> is decompressed.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <param name="columns">Under which names the file has fields, where it has them under others: <c>{"prompt":
    /// "question"}</c>. Several columns make the prompt together, each on a line of its own: <c>{"prompt":
    /// "instruction+input"}</c>. A field that is named <c>""</c> is not there: a prompt is then what the completions have in
    /// common, whatever other columns hold.</param>
    /// <exception cref="InvalidInputException">While reading: the file cannot be read, a row exceeds 64 MiB, or a bad row is
    /// refused; at its end: no row has anything in a column that <paramref name="columns"/> names. At once:
    /// <paramref name="columns"/> names a field that no form has.</exception>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null) =>
        JsonRows.Read(JsonRows.Of(path), ColumnNames.OfPreferences(columns), report, badRows, Parse);

    /// <summary>Reads rows of a form of your own: a function makes an example of each.</summary>
    /// <remarks><code>
    /// var examples = PreferenceJsonLines.Read("votes.jsonl", report, row =>
    ///     row.GetProperty("votes").GetInt32() &lt; 3
    ///         ? throw new BadRowException("fewer than 3 votes")
    ///         : new PreferenceExample(
    ///             row.GetProperty("post").GetString()!, row.GetProperty("best").GetString()!,
    ///             row.GetProperty("worst").GetString()!));
    /// </code></remarks>
    /// <param name="path">As above.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="example">Makes an example of a row, a JSON object whose values are valid within the call alone; a row without
    /// any throws <see cref="BadRowException"/>. Where the example has no <see cref="PreferenceExample.Source"/>, it gets the
    /// row's. A field that is missing or of another kind than the function asks for makes a bad row too.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <exception cref="InvalidInputException">While reading: the file cannot be read, a row exceeds 64 MiB, or a bad row is
    /// refused.</exception>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, Func<JsonElement, PreferenceExample> example, BadRows badRows = BadRows.Skip)
    {
        ArgumentNullException.ThrowIfNull(example);
        return JsonRows.Read(JsonRows.Of(path), ColumnNames.None, report, badRows, Own(example));
    }

    /// <summary>A user's function as a format.</summary>
    internal static Func<DataRow, RowMark, PreferenceExample> Own(Func<JsonElement, PreferenceExample> example) => (row, mark) =>
    {
        try
        {
            var made = example(row.Json) ?? throw new BadRowException("no example was made of it");
            return made with { Mark = mark, Source = made.Source ?? row.Source };
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new BadRowException("a field that is missing or of another kind");
        }
    };

    /// <summary>The fields that <see cref="Parse(DataRow, RowMark)"/> reads.</summary>
    internal static IReadOnlyList<string> Fields { get; } =
    [
        "prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin", "completions", "ranking", "scores",
        "completion", "label",
    ];

    internal static PreferenceExample Parse(DataRow row, RowMark mark) => Parse(row) with { Mark = mark };

    private static PreferenceExample Parse(DataRow row)
    {
        if (row.TryGet("completions", out var completions))
            return RatedRows.Ranked(completions, row);
        if (row.TryGet("completion", out var completion))
            return RatedRows.Labelled(completion, row);
        if (row.TryGet("chosen", out var answer) && answer.ValueKind == JsonValueKind.Array)
            return RatedRows.Scored(ConversationRows.Pair(row), row);
        var (chosen, rejected) = (row.Text("chosen"), row.Text("rejected"));
        return RatedRows.Scored(row.Prompt is { } prompt && !IsWithin(prompt, chosen, rejected)
            ? JsonRows.Comparison(prompt.Text, chosen, rejected, row.Source)
            : WithoutPrompt(row, chosen, rejected), row);
    }

    /// <summary>Whether both texts begin with a prompt that stands beside them under the name that another set gives
    /// it.</summary>
    private static bool IsWithin(RowPrompt prompt, string chosen, string rejected) =>
        !prompt.IsStated && prompt.Text is { Length: > 0 } text
            && chosen.StartsWith(text, StringComparison.Ordinal) && rejected.StartsWith(text, StringComparison.Ordinal);

    private static PreferenceExample WithoutPrompt(DataRow row, string chosen, string rejected)
    {
        if (chosen == rejected)
            throw new BadRowException("identical completions");
        var parts = ImplicitPrompt.Part(chosen, rejected);
        StrayPrompt.Refuse(row, parts.Prompt);
        return JsonRows.Comparison(parts.Prompt, parts.Chosen, parts.Rejected, row.Source);
    }
}
