namespace Dpo.Evaluation.Measuring;

/// <summary>A pair whose label a model disputes, with its texts, for people to look at (<see cref="LabelNoise"/>).</summary>
public sealed record DisputedPair
{
    /// <summary>Where its example came from, such as <c>train.jsonl:12</c>; null where it came from no file.</summary>
    public string? Source { get; init; }

    /// <summary>The prompt.</summary>
    public required string Prompt { get; init; }

    /// <summary>The completion that the label calls the better one.</summary>
    public required string Chosen { get; init; }

    /// <summary>The other one.</summary>
    public required string Rejected { get; init; }

    /// <summary>How far the rejected completion is ahead by the model, above 0: <see cref="SuspectPair.Against"/>.</summary>
    public required double Nats { get; init; }
}
