namespace Dpo.Tests;

/// <summary>Tests of this collection run alone, since a failure in a backward pass is kept for the whole process, and would reach
/// whichever test asks for it first.</summary>
[CollectionDefinition(nameof(BackwardFailures), DisableParallelization = true)]
public sealed class BackwardFailures;
