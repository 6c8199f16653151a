namespace Dpo.Evaluation.Statistics;

/// <summary>A comparison of a model's completion with a baseline's on one instruction, as AlpacaEval 2 makes it.</summary>
public sealed record LengthControlledRow
{
    /// <summary>How much of the win is the model's, from 0 to 1: a judge's probability, or 1, ½ for a draw, 0. AlpacaEval's files
    /// have this number and 1, and 0 for a draw. Null where the judge's answer is missing: the row leaves the fit, and counts in
    /// the result by what is predicted for it.</summary>
    public required double? Preference { get; init; }

    /// <summary>The length of the model's completion, in characters.</summary>
    public required int Length { get; init; }

    /// <summary>That of the baseline's.</summary>
    public required int BaselineLength { get; init; }

    /// <summary>How hard the instruction is, from AlpacaEval's fit over many models; 0, the default, where that is not
    /// known.</summary>
    public double Difficulty { get; init; }
}

/// <summary>A comparison of a baseline with itself, told to write more or less than it would: AlpacaEval adds them so that a fit
/// of one model knows what length does.</summary>
/// <param name="Row">The place of the instruction's row, from 0.</param>
/// <param name="Preference">How much of the win was that completion's, from 0 to 1.</param>
/// <param name="StandardizedDifference">The baseline's length less that of this completion, in standard deviations.</param>
public readonly record struct GamedRow(int Row, double Preference, double StandardizedDifference);
