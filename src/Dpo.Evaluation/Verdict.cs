namespace Dpo.Evaluation;

/// <summary>How a comparison ended, seen from the first of two completions. The values are the scores of games: 1, 0 and
/// -1.</summary>
public enum Verdict
{
    /// <summary>The other completion was preferred.</summary>
    Loss = -1,

    /// <summary>Neither was preferred.</summary>
    Tie = 0,

    /// <summary>This completion was preferred.</summary>
    Win = 1,
}
