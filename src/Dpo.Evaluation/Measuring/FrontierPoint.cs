using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Measuring;

/// <summary>What one run had reached at one step: a point of the paper's Figure 2 (left).</summary>
public sealed record FrontierPoint
{
    /// <summary>The run's name, such as <c>dpo-beta-0.1</c>.</summary>
    public required string Run { get; init; }

    /// <summary>The method, which several runs share, such as <c>DPO</c>.</summary>
    public required string Method { get; init; }

    /// <summary>The run's seed.</summary>
    public required int Seed { get; init; }

    /// <summary>After how many updates.</summary>
    public required int Step { get; init; }

    /// <summary>The expected reward.</summary>
    public required Estimate Reward { get; init; }

    /// <summary>The KL from the reference, of whole completions, in nats.</summary>
    public required Estimate Kl { get; init; }

    /// <summary>Makes a point of a measurement.</summary>
    /// <param name="run">The run's name.</param>
    /// <param name="method">The method.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">After how many updates it was made.</param>
    /// <param name="measured">The measurement, whose exact KL is taken.</param>
    public static FrontierPoint Of(string run, string method, int seed, int step, RewardAndKl measured)
    {
        ArgumentNullException.ThrowIfNull(measured);
        return new FrontierPoint
        {
            Run = run,
            Method = method,
            Seed = seed,
            Step = step,
            Reward = measured.Reward,
            Kl = measured.Kl.PerSequence,
        };
    }
}
