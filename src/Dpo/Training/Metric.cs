namespace Dpo.Training;

/// <summary>A metric that an <see cref="Objective"/> measures.</summary>
/// <param name="Name">Its name in the metrics of a step; an evaluation's has <c>eval_</c>, and the name of a named set, in front.
/// Not <c>loss</c>, which is always there, nor <c>grad_norm</c>, <c>learning_rate</c>, <c>epoch</c> or <c>num_tokens</c>.</param>
/// <param name="Count">What the sum over a batch's parts is divided by, 1 or more: 1 for shares of an average, which add up to
/// it; or how many there are, where parts give sums. Whole numbers add up exactly, as shares of 1 do not.</param>
public sealed record Metric(string Name, int Count = 1)
{
    /// <summary>What the values of a batch's parts are brought together by; added up by default. The least or the largest of a
    /// batch leaves <see cref="Count"/> at 1.</summary>
    public MetricFold Fold { get; init; }
}
