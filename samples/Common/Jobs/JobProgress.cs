using System.Text.Json;

namespace Dpo.Samples;

/// <summary>How far a job is: what its process writes among its lines for the one that started it.</summary>
/// <param name="Stage">What it is doing, such as <c>DPO</c>.</param>
/// <param name="Step">The step that it has made.</param>
/// <param name="TotalSteps">The steps that there are.</param>
/// <param name="Figures">What the step measured, in words.</param>
internal sealed record JobProgress(string Stage, int Step, int TotalSteps, string Figures)
{
    // As RFC 7464 begins a text of JSON among others; no line that is meant for people does.
    private const char Mark = '\u001e';

    /// <summary>The share of the steps that are made, from 0 to 1.</summary>
    public double Share => (double)Step / TotalSteps;

    /// <summary>A line for the process that started this one.</summary>
    public override string ToString() => Mark + JsonSerializer.Serialize(this);

    /// <summary>What such a line says; null for another, and for one that was cut off.</summary>
    public static JobProgress? Of(string line)
    {
        try
        {
            return line is [Mark, .. var json] ? JsonSerializer.Deserialize<JobProgress>(json) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
