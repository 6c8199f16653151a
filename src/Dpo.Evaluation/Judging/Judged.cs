namespace Dpo.Evaluation.Judging;

/// <summary>Which way round a comparison was shown.</summary>
public enum ShownOrder
{
    /// <summary>The first completion stood first, as A.</summary>
    AsGiven,

    /// <summary>The second completion stood first, as A.</summary>
    Reversed,
}

/// <summary>A judgement, and which way round the comparison was shown.</summary>
/// <param name="Order">The order.</param>
/// <param name="Judgement">The judgement. Its verdict is about <see cref="Comparison.First"/>, whichever way it was shown; A and
/// B of its explanation are as shown.</param>
public sealed record ShownJudgement(ShownOrder Order, Judgement Judgement);

/// <summary>A comparison that was judged.</summary>
/// <param name="Id">Its <see cref="Comparison.Id"/>.</param>
/// <param name="Shown">What the judge said: once, or for each of both orders.</param>
public sealed record Judged(string Id, IReadOnlyList<ShownJudgement> Shown)
{
    /// <summary>How the comparison ended for <see cref="Comparison.First"/>. Where the verdicts of both orders differ it is a
    /// tie: the place decided, or next to nothing. Null where there is no verdict (unparsed), also of one order alone.</summary>
    public Verdict? Verdict
    {
        get
        {
            Verdict?[] verdicts = [.. Shown.Select(shown => shown.Judgement.Verdict).Distinct()];
            return verdicts.Contains(null) ? null : verdicts is [var agreed] ? agreed : Evaluation.Verdict.Tie;
        }
    }

    /// <summary>Why; that of each order on a line of its own.</summary>
    public string Explanation => string.Join('\n', Shown.Select(shown => shown.Judgement.Explanation));

    /// <summary>How many answers it took in all.</summary>
    public int Attempts => Shown.Sum(shown => shown.Judgement.Attempts);

    /// <summary>The tokens that it took in all.</summary>
    public TokenCount Tokens => Shown.Aggregate(default(TokenCount), (sum, shown) => sum + shown.Judgement.Tokens);
}
