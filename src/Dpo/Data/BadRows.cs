namespace Dpo.Data;

/// <summary>What a reader does with a row that cannot be trained on: malformed, without a completion, without a
/// difference.</summary>
public enum BadRows
{
    /// <summary>Leaves it out and counts it in the <see cref="DataReport"/>.</summary>
    Skip,

    /// <summary>Stops at the first one with an <see cref="InvalidInputException"/> that names file, line and reason.</summary>
    Refuse,
}
