namespace Dpo.Data;

/// <summary>
/// The prompt of rows that do not name it: what chosen and rejected have in common at their beginning, as in TRL's
/// <c>extract_prompt</c>.
/// </summary>
internal static class ImplicitPrompt
{
    /// <summary>How many items are the prompt's; where one list is the beginning of the other, its last item is not, so that
    /// neither completion is empty.</summary>
    public static int CommonLength<T>(IReadOnlyList<T> chosen, IReadOnlyList<T> rejected)
    {
        var most = Math.Max(0, Math.Min(chosen.Count, rejected.Count) - 1);
        var common = 0;
        while (common < most && Equals(chosen[common], rejected[common]))
            common++;
        return common;
    }

    /// <summary>Parts two texts; a space in front of the completions belongs to them.</summary>
    public static (string Prompt, string Chosen, string Rejected) Part(string chosen, string rejected)
    {
        var at = chosen.AsSpan().CommonPrefixLength(rejected);
        var contained = at == Math.Min(chosen.Length, rejected.Length);
        // Where one text is the beginning of the other, its last character is not the prompt's.
        if (contained && at > 0)
            at--;
        // A character is not cut in half.
        if (at > 0 && char.IsHighSurrogate(chosen[at - 1]))
            at--;
        if (!contained && at > 0 && chosen[at - 1] == ' ')
            at--;
        return (chosen[..at], chosen[at..], rejected[at..]);
    }
}
