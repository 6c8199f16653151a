using System.Text.Json.Serialization;
using Dpo.Evaluation.Judging;
using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Measuring;

/// <summary>How often one model's completions won against others of the same prompts: a point of the paper's Figures 2 (right), 3
/// and 4, or a cell of its Table 1.</summary>
public sealed record WinRatePoint
{
    /// <summary>The run's name, such as <c>dpo-beta-0.1</c>.</summary>
    public required string Run { get; init; }

    /// <summary>The method, such as <c>DPO</c>: a line of a figure.</summary>
    public required string Method { get; init; }

    /// <summary>What the completions are compared with, such as <c>the chosen ones</c>.</summary>
    public required string Against { get; init; }

    /// <summary>The judge's <see cref="IJudge.Name"/>.</summary>
    public required string Judge { get; init; }

    /// <summary>Which prompts were completed, such as <c>held-out posts</c>.</summary>
    public required string Prompts { get; init; }

    /// <summary>The temperature that completions were sampled at; 0 is greedy.</summary>
    public required double Temperature { get; init; }

    /// <summary>After how many updates of the run.</summary>
    public required int Step { get; init; }

    /// <summary>N where each completion is the best of N by a reward; null where it is the only one that was sampled.</summary>
    public int? BestOf { get; init; }

    /// <summary>The run's seed.</summary>
    public required int Seed { get; init; }

    /// <summary>Comparisons that it won.</summary>
    public required int Wins { get; init; }

    /// <summary>Those that nobody won.</summary>
    public required int Ties { get; init; }

    /// <summary>Those that it lost.</summary>
    public required int Losses { get; init; }

    /// <summary>Those whose judge gave no verdict: in no rate.</summary>
    public required int Unparsed { get; init; }

    /// <summary>The rate at equal lengths (<see cref="LengthControlledWinRate.Rate"/>); null where it was not fitted.</summary>
    public Estimate? LengthControlled { get; init; }

    /// <summary>A digest of all that the verdicts follow from, models and prompts included, so that a run that goes on knows what
    /// it has measured; null where nobody asks.</summary>
    public string? Digest { get; init; }

    /// <summary>The counts of those that were judged.</summary>
    [JsonIgnore]
    public WinRate Counts => new(Wins, Ties, Losses);

    /// <summary>(wins + ties / 2) / verdicts, with Wilson's interval of 95 %; null where there is no verdict.</summary>
    [JsonIgnore]
    public Estimate? Rate => Counts.Count == 0 ? null : Counts.TiesAsHalf();
}
