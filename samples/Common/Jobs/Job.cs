namespace Dpo.Samples;

/// <summary>A part of a plan, which runs in a process of its own.</summary>
/// <param name="Name">Its name, such as <c>seed-0/dpo-beta-0.1</c>.</param>
/// <param name="After">The names of those that must have ended well before it begins.</param>
/// <param name="Cost">How long it takes in comparison with the others; above 0.</param>
internal sealed record Job(string Name, IReadOnlyList<string> After, double Cost);
