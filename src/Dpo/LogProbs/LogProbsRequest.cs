namespace Dpo.LogProbs;

/// <summary>What is to be computed of a model's distributions beside the log-probabilities of completions: sums over the
/// vocabulary, each of which costs a part of the output head's time. A loss says what it needs
/// (<c>IPreferenceLoss.Needs</c>).</summary>
public sealed record LogProbsRequest
{
    /// <summary>Nothing beside.</summary>
    public static LogProbsRequest None { get; } = new();

    /// <summary>Whether <see cref="CompletionLogProbs.LogSquaredProbs"/> are computed; false by default.</summary>
    public bool LogSquaredProbs { get; init; }

    /// <summary>Whether <see cref="CompletionLogProbs.Statistics"/> are computed; false by default.</summary>
    public bool Statistics { get; init; }

    /// <summary>Whether <see cref="CompletionLogProbs.ReferenceKl"/> are computed; false by default. It takes the reference's
    /// <see cref="CompletionLogProbs.Distributions"/>, and its head's time once more, forward and backward.</summary>
    public bool ReferenceKl { get; init; }

    /// <summary>Whether <see cref="CompletionLogProbs.Distributions"/> are kept; false by default.</summary>
    public bool Distributions { get; init; }

    /// <summary>What either of two asks for.</summary>
    public LogProbsRequest And(LogProbsRequest other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return new()
        {
            LogSquaredProbs = LogSquaredProbs || other.LogSquaredProbs,
            Statistics = Statistics || other.Statistics,
            ReferenceKl = ReferenceKl || other.ReferenceKl,
            Distributions = Distributions || other.Distributions,
        };
    }
}
