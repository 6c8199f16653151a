namespace Dpo.Evaluation.Judging;

/// <summary>How a run of judging shows comparisons, and counts.</summary>
public sealed record JudgingOptions
{
    /// <summary>How many calls of the judge go on at once; at least 1, 8 by default. Take 1 for a model on this
    /// machine.</summary>
    public int Concurrency { get; init; } = 8;

    /// <summary>Whether every comparison is shown both ways round: verdicts that agree count, others are a tie. Twice the
    /// questions. By default each is shown one way, by chance, so that a judge's liking for a place favours nobody.</summary>
    public bool BothOrders { get; init; }

    /// <summary>Decides, with a comparison's texts and id, which way round it is shown, so that another run shows it the same way
    /// whatever else is judged; 0 by default. <see cref="BothOrders"/> has no use for it.</summary>
    public int Seed { get; init; }

    /// <summary>What the judge's tokens cost; null where nobody asks.</summary>
    public TokenPrices? Prices { get; init; }

    /// <summary>Refuses values outside their ranges.</summary>
    internal void Validate() => ArgumentOutOfRangeException.ThrowIfLessThan(Concurrency, 1);
}

/// <summary>How far a run of judging is.</summary>
/// <param name="Done">Questions with an answer; one that needed none in this run is among them.</param>
/// <param name="Total">All questions: one for each comparison, or two where both orders are shown.</param>
/// <param name="Unparsed">Answers that were no verdict.</param>
/// <param name="Tokens">The tokens of this run.</param>
/// <param name="Cost">What they cost; null without prices.</param>
public sealed record JudgingProgress(int Done, int Total, int Unparsed, TokenCount Tokens, double? Cost);

/// <summary>What a run of judging gave.</summary>
public sealed record JudgingResult
{
    /// <summary>The comparisons that were judged, in the order given.</summary>
    public required IReadOnlyList<Judged> Comparisons { get; init; }

    /// <summary>The verdicts, for win rates; comparisons without one are left out.</summary>
    public IReadOnlyList<Verdict> Verdicts => [.. Comparisons.Select(judged => judged.Verdict).OfType<Verdict>()];

    /// <summary>Comparisons without a verdict, which belong beside every win rate.</summary>
    public int Unparsed => Comparisons.Count(judged => judged.Verdict is null);

    /// <summary>Questions that were asked in this run.</summary>
    public required int Asked { get; init; }

    /// <summary>Questions whose answer was in the file already.</summary>
    public required int Kept { get; init; }

    /// <summary>The tokens of all verdicts, also of those that were in the file.</summary>
    public required TokenCount Tokens { get; init; }

    /// <summary>The tokens of this run. What was in flight when an earlier run was killed is in neither count.</summary>
    public required TokenCount NewTokens { get; init; }

    /// <summary>What <see cref="Tokens"/> cost; null without prices.</summary>
    public required double? Cost { get; init; }

    /// <summary>What <see cref="NewTokens"/> cost; null without prices.</summary>
    public required double? NewCost { get; init; }
}
