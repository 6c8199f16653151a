namespace Dpo.Evaluation.Measuring;

/// <summary>A pair that a model was asked about, as a reward model is, and its answer.</summary>
public sealed record ScoredPair
{
    /// <summary>Where its example came from, such as <c>test.jsonl:12</c>; null where it came from no file.</summary>
    public string? Source { get; init; }

    /// <summary>What it is a test of (<see cref="RewardBenchRow.Subset"/>); null where the data do not say.</summary>
    public string? Subset { get; init; }

    /// <summary>The chosen completion's reward less the rejected one's, such as <c>PairRewards.Margin</c>; above 0 the pair is
    /// ordered as it was preferred.</summary>
    public required double Margin { get; init; }
}
