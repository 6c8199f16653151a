using System.Text.Json;

namespace Dpo;

/// <summary>
/// Reads JSON Lines of <c>{"prompt": …, "chosen": …, "rejected": …}</c>, the plainest format of preference data, as TRL takes it:
/// texts, or lists of a chat's messages, <c>[{"role": …, "content": …}]</c>; and its kin: scored pairs, rankings, and completions
/// labelled apart.
/// </summary>
/// <remarks>
/// <para>Beside <c>prompt</c> a row has</para>
/// <list type="bullet">
/// <item><c>chosen</c> and <c>rejected</c>; with <c>score_chosen</c> and <c>score_rejected</c>, numbers, the pair is scored;</item>
/// <item><c>completions</c>, two or more texts, and <c>ranking</c>, their indices from 0, the best first; or <c>scores</c>, a
/// number for each. Every completion makes a pair with each that is ranked or scored lower; scores without ties make a
/// ranking;</item>
/// <item><c>completion</c> and <c>label</c>, true where it is desirable (TRL's unpaired format).</item>
/// </list>
/// <para>Texts are taken as they stand, so a space between prompt and completion belongs to the completions. Other fields are
/// ignored. Bad rows: malformed JSON or UTF-8, a field missing or of the wrong kind, a completion of nothing but white space,
/// completions that are identical, and completions that all have one score.</para>
/// <para>A pair without <c>prompt</c> has an implicit one, found as TRL's <c>extract_prompt</c> finds it: the beginning that chosen and
/// rejected have in common, less a space at its end; of a chat, the messages they have in common.</para>
/// <para>Where the prompt is a list of messages, so is every completion; they become <see cref="PreferenceExample.Conversation"/>. The
/// prompt must not end with the assistant, and completions must begin with it. <c>chosen</c> and <c>rejected</c> may be whole
/// conversations beside a prompt that is a text, as in UltraFeedback's binarized form: the prompt is then the messages they have
/// in common, of which the text must be the user's.</para>
/// </remarks>
public static class PreferenceJsonLines
{
    /// <summary>Reads the examples one by one; no more than a line is held in memory.</summary>
    /// <param name="path">The file, UTF-8; one named <c>.gz</c> is decompressed.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <exception cref="InvalidInputException">While reading: the file cannot be read, a line exceeds 64 MiB, or a bad row is
    /// refused.</exception>
    public static IEnumerable<PreferenceExample> Read(string path, DataReport report, BadRows badRows = BadRows.Skip) =>
        JsonRows.Read(JsonRows.Lines(path), report, badRows, Parse);

    internal static PreferenceExample Parse(JsonElement row, JsonRow origin)
    {
        var source = origin.Source;
        if (row.TryGetProperty("completions", out var completions))
            return RatedRows.Ranked(completions, row, source);
        if (row.TryGetProperty("completion", out var completion))
            return RatedRows.Labelled(completion, row, source);
        if (row.TryGetProperty("chosen", out var answer) && answer.ValueKind == JsonValueKind.Array)
            return RatedRows.Scored(ConversationRows.Pair(row, source), row);
        var hasPrompt = row.TryGetProperty("prompt", out _);
        var (prompt, chosen, rejected) = (hasPrompt ? row.Text("prompt") : "", row.Text("chosen"), row.Text("rejected"));
        if (!hasPrompt && chosen != rejected)
            (prompt, chosen, rejected) = ImplicitPrompt.Part(chosen, rejected);
        return RatedRows.Scored(JsonRows.Comparison(prompt, chosen, rejected, source), row);
    }
}
