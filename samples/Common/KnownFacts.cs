namespace Dpo.Samples;

/// <summary>What judges completions of generated data: it knows what was put into a prompt.</summary>
/// <param name="Name">What it is known by.</param>
/// <param name="Score">How good a completion, the second, of a prompt is; the higher the better.</param>
/// <param name="IsCeiling">Whether nothing is better than a chosen completion, so that completions are compared with the rejected
/// one too.</param>
/// <param name="Worth">What it counts, and what its verdicts are worth, for a reader.</param>
internal sealed record KnownFacts(string Name, Func<string, string, double> Score, bool IsCeiling, string Worth);
