using System.Text.Json.Serialization;
using Dpo.Batching;

namespace Dpo.Training.Checkpointing;

/// <summary>How far a run is: all that its loop carries from one step to the next. Batches follow from the seed and the
/// step.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Examples">Examples seen.</param>
/// <param name="Tokens">Tokens seen, as <c>num_tokens</c> counts them.</param>
internal sealed record RunPosition(int Step = 0, long Examples = 0, long Tokens = 0)
{
    /// <summary>The best step by <see cref="CheckpointOptions.KeepBest"/>; null before the first evaluation.</summary>
    public BestSoFar? Best { get; init; }

    /// <summary><c>logps/chosen</c> of the first step; null before it, and where it is not measured.</summary>
    public double? FirstChosenLogProb { get; init; }

    /// <summary>Whether it was said that the log-probability of chosen completions fell far.</summary>
    public bool WarnedOfFall { get; init; }

    /// <summary>What the last step measured, where that is still to be reported, and its evaluation still to be made; null where
    /// all is reported.</summary>
    /// <remarks>Files have it under the name of their first version.</remarks>
    [JsonPropertyName("untold"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public UnreportedStep? Unreported { get; init; }

    /// <summary>The position after one more step.</summary>
    public RunPosition After(PreferenceBatch batch) => this with
    {
        Step = Step + 1,
        Examples = Examples + batch.Examples.Count,
        Tokens = Tokens + batch.SequenceTokenCount,
    };
}

/// <summary>The best value of a metric so far, and the step that had it.</summary>
internal sealed record BestSoFar(string Metric, double Value, int Step);

/// <summary>A step whose report is still to be made.</summary>
/// <param name="Values">What its update measured.</param>
/// <param name="Seconds">How long that took.</param>
internal sealed record UnreportedStep(
    [property: JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)] IReadOnlyDictionary<string, double> Values,
    double Seconds);
