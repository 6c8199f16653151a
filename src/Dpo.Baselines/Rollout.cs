using Dpo.Batching;

namespace Dpo.Baselines;

/// <summary>A completion that the policy sampled, and what an update takes of it; lists have a value for each of its tokens, and
/// where that is said for each state that is valued (<see cref="ValuedStates"/>).</summary>
internal sealed class Rollout
{
    /// <summary>Prompt and completion.</summary>
    public required TrainingExample Example { get; init; }

    /// <summary>What the reward says of it, before the KL is taken off.</summary>
    public required double Score { get; init; }

    /// <summary>Whether it ended by itself, and not at the longest length.</summary>
    public required bool Ended { get; init; }

    /// <summary>log π of the policy that sampled it, at the sampling temperature.</summary>
    public required float[] LogProbs { get; init; }

    /// <summary>log π_ref.</summary>
    public required float[] ReferenceLogProbs { get; init; }

    /// <summary>V of each state.</summary>
    public required float[] Values { get; init; }

    /// <summary>The KL's estimate.</summary>
    public double[] Kl { get; set; } = [];

    /// <summary>The rewards, for each state: −coefficient · KL, and the score on the last.</summary>
    public double[] Rewards { get; set; } = [];

    /// <summary>The tokens' advantages, whitened where that is asked for.</summary>
    public double[] Advantages { get; set; } = [];

    /// <summary>What values are drawn to, for each state.</summary>
    public double[] Returns { get; set; } = [];
}
