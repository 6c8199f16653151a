namespace Dpo.Evaluation.Statistics;

/// <summary>What values of one kind at every token of sampled completions say of the KL, in nats.</summary>
public sealed record KlEstimate
{
    /// <summary>The KL of whole completions: the mean of their sums over time, as the paper measures it (section 6.1), with a t
    /// interval over completions.</summary>
    public required Estimate PerSequence { get; init; }

    /// <summary>The mean over all tokens. Its standard error takes tokens as independent, which those of one completion are not:
    /// to compare runs take <see cref="PerSequence"/>.</summary>
    public required Estimate PerToken { get; init; }

    /// <summary>Averages values.</summary>
    /// <param name="values">For every completion a number for each of its tokens; two completions or more, of one token or
    /// more.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    public static KlEstimate Of(IReadOnlyList<IReadOnlyList<double>> values, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(values);
        return new KlEstimate
        {
            PerSequence = Estimate.OfMean([.. values.Select(tokens => tokens.Sum())], level),
            PerToken = Estimate.OfMean([.. values.SelectMany(tokens => tokens)], level),
        };
    }
}
