namespace Dpo.Training;

/// <summary>What a policy and its reference say of one pair of completions.</summary>
public sealed record PairRewards
{
    /// <summary>Where the example came from, such as <c>train.jsonl:12</c>; null where it came from no file.</summary>
    public string? Source { get; init; }

    /// <summary>The index of the chosen completion among its example's, from 0.</summary>
    public required int Chosen { get; init; }

    /// <summary>The index of the rejected one.</summary>
    public required int Rejected { get; init; }

    /// <summary>The implicit reward of the chosen completion as the loss defines it: β (log π − log π_ref) for DPO (section 4 of
    /// the paper).</summary>
    public required double ChosenReward { get; init; }

    /// <summary>That of the rejected one.</summary>
    public required double RejectedReward { get; init; }

    /// <summary>Chosen less rejected; above 0 the pair is ordered as it was preferred.</summary>
    public double Margin => ChosenReward - RejectedReward;

    /// <summary>log π of the chosen completion, in nats: the sum over its tokens.</summary>
    public required double ChosenLogProb { get; init; }

    /// <summary>That of the rejected one.</summary>
    public required double RejectedLogProb { get; init; }

    /// <summary>log π_ref of the chosen completion; null where the loss does without a reference.</summary>
    public double? ChosenReferenceLogProb { get; init; }

    /// <summary>That of the rejected one.</summary>
    public double? RejectedReferenceLogProb { get; init; }

    /// <summary>Tokens of the chosen completion, the end of text included.</summary>
    public required int ChosenTokens { get; init; }

    /// <summary>Those of the rejected one.</summary>
    public required int RejectedTokens { get; init; }
}
