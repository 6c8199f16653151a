namespace Dpo.Benchmarks;

/// <summary>The lengths of a pair in tokens; each at least 1, end of text included.</summary>
internal sealed record PairLengths(int Prompt, int Chosen, int Rejected)
{
    /// <summary>Tokens that are worth computing: the prompt once, and both completions.</summary>
    public int UsefulTokens => Prompt + Chosen + Rejected;

    /// <summary>Tokens of the longer sequence, prompt included.</summary>
    public int Longest => Prompt + Math.Max(Chosen, Rejected);
}
