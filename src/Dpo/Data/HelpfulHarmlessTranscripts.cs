namespace Dpo.Data;

/// <summary>
/// Reads Anthropic's HH comparisons: JSON Lines of <c>{"chosen": …, "rejected": …}</c>, two transcripts of a dialogue that part
/// at the assistant's last answer.
/// </summary>
/// <remarks>
/// <para>As in the paper's code, the prompt is the chosen transcript up to and including its last
/// <c>"\n\nAssistant:"</c>, and the completions are what follows in either transcript, with their leading space. That code cuts
/// the rejected transcript at the same length without looking; here it must begin with the same prompt (else
/// "mismatched prefixes"), and must not go on to another <c>"\n\nHuman:"</c> turn, which would compare an answer with a
/// dialogue. A rejected answer that the assistant gave in two parts, with a further <c>"\n\nAssistant:"</c> inside, is one
/// answer and is kept: 7 of the 2,354 rows of helpful-base's test split have one.</para>
/// <para>One example a row; <see cref="PreferenceExamples.GroupByPrompt"/> brings rows of one prompt together.</para>
/// </remarks>
public static class HelpfulHarmlessTranscripts
{
    internal const string AssistantTurn = "\n\nAssistant:";
    internal const string HumanTurn = "\n\nHuman:";

    /// <summary>Reads the examples one by one; no more than a line is held in memory.</summary>
    /// <inheritdoc cref="PreferenceJsonLines"/>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null) =>
        JsonRows.Read(JsonRows.Of(path), ColumnNames.OfPreferences(columns), report, badRows, Parse);

    /// <summary>The fields that <see cref="Parse"/> reads.</summary>
    internal static IReadOnlyList<string> Fields { get; } = ["chosen", "rejected"];

    internal static PreferenceExample Parse(DataRow row, RowMark mark)
    {
        var (chosen, rejected) = (row.Text("chosen"), row.Text("rejected"));
        var turn = chosen.LastIndexOf(AssistantTurn, StringComparison.Ordinal);
        if (turn < 0)
            throw new BadRowException("no Assistant turn");
        var prompt = chosen[..(turn + AssistantTurn.Length)];
        if (!rejected.StartsWith(prompt, StringComparison.Ordinal))
            throw new BadRowException("mismatched prefixes");
        var answer = rejected[prompt.Length..];
        if (answer.Contains(HumanTurn, StringComparison.Ordinal))
            throw new BadRowException("rejected goes on to another turn");
        return JsonRows.Comparison(prompt, chosen[prompt.Length..], answer, row.Source) with { Mark = mark };
    }
}
