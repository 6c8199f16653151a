namespace Dpo.Evaluation.Judging;

/// <summary>What a judge says of a comparison.</summary>
/// <param name="Verdict">How it ended for the first completion; null where what the judge said was no verdict (unparsed), which
/// is no tie.</param>
/// <param name="Explanation">Why: a sentence, or the two scores; the last answer as it came where it was no verdict. A and B in
/// it are the completions as they were shown.</param>
public sealed record Judgement(Verdict? Verdict, string Explanation)
{
    /// <summary>How many answers it took: more than 1 where some were no verdict.</summary>
    public int Attempts { get; init; } = 1;

    /// <summary>The tokens of all these answers and what was asked.</summary>
    public TokenCount Tokens { get; init; }

    /// <summary>The judgement of two scores, the higher the better; those that differ by the margin or less tie.</summary>
    internal static Judgement Of(double first, double second, double margin) => new(
        Math.Abs(first - second) <= margin ? Evaluation.Verdict.Tie
            : first > second ? Evaluation.Verdict.Win : Evaluation.Verdict.Loss,
        $"{first:G6} against {second:G6}");
}

/// <summary>Tokens that a service counted, 0 where it did not.</summary>
/// <param name="Input">Those of what it was given.</param>
/// <param name="Output">Those of what it wrote.</param>
public readonly record struct TokenCount(long Input, long Output)
{
    /// <summary>Adds two counts.</summary>
    public static TokenCount operator +(TokenCount left, TokenCount right) => left.Add(right);

    /// <summary>Adds another count.</summary>
    /// <param name="other">The other one.</param>
    public TokenCount Add(TokenCount other) => new(Input + other.Input, Output + other.Output);
}

/// <summary>What a service asks for tokens, in any currency.</summary>
/// <param name="Input">For a million tokens of what it is given.</param>
/// <param name="Output">For a million tokens of what it writes.</param>
public sealed record TokenPrices(double Input, double Output)
{
    /// <summary>What tokens cost.</summary>
    /// <param name="tokens">The tokens.</param>
    public double Cost(TokenCount tokens) => ((tokens.Input * Input) + (tokens.Output * Output)) / 1e6;
}
