namespace Dpo.Evaluation.Statistics;

/// <summary>A comparison of two models' completions of one prompt.</summary>
public readonly record struct Game
{
    /// <summary>Makes a game.</summary>
    /// <param name="first">The first model's name.</param>
    /// <param name="second">The second's, another one.</param>
    /// <param name="score">How much of the win is the first's: 1, ½ for a tie, 0, or what lies between.</param>
    /// <exception cref="ArgumentException">The score is outside, or a model plays against itself.</exception>
    public Game(string first, string second, double score)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first == second)
            throw new ArgumentException($"{first} plays against itself, which says nothing; leave the game out.", nameof(second));
        if (!(score is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(score), score, "A game's score is a number from 0 to 1.");
        (First, Second, Score) = (first, second, score);
    }

    /// <summary>Makes a game of a verdict.</summary>
    /// <param name="first">The first model's name.</param>
    /// <param name="second">The second's, another one.</param>
    /// <param name="verdict">How it ended, seen from the first.</param>
    public Game(string first, string second, Verdict verdict)
        : this(first, second, (1 + (int)verdict) / 2.0)
    {
    }

    /// <summary>The first model.</summary>
    public string First { get; }

    /// <summary>The second model.</summary>
    public string Second { get; }

    /// <summary>How much of the win is the first's, from 0 to 1.</summary>
    public double Score { get; }
}
